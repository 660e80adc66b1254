import { pluralOf } from '../translating';
import type { trash as English } from '../trash';

const plural = pluralOf('de');

export const trash: typeof English = {
  title: 'Papierkorb',
  text: 'Gelöschte Unterhaltungen, die sich einige Tage lang wiederherstellen lassen.',
  empty: 'Der Papierkorb ist leer.',
  days: (count) =>
    count < 1 ? 'wird bald endgültig gelöscht' : plural(count, 'noch 1 Tag', `noch ${count} Tage`),
  held: 'durch eine Aufbewahrungssperre geschützt',
  deleted: (when) => `${when} gelöscht`,
  restore: 'Wiederherstellen',
  restored: 'Wiederhergestellt.',
  undo: 'Rückgängig',
  moved: 'In den Papierkorb verschoben.',
  purge: 'Endgültig löschen',
  purgeTitle: 'Diese Unterhaltung endgültig löschen?',
  purgeText: (title) =>
    `„${title}“ und alle Nachrichten darin lassen sich danach nicht wiederherstellen.`,
  emptyAll: 'Papierkorb leeren',
  emptyTitle: 'Papierkorb leeren?',
  emptyText: 'Alle Unterhaltungen darin werden endgültig gelöscht.',
  more: 'Mehr',
};
