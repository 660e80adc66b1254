import { pluralOf } from '../translating';
import type { inNotes as English } from '../notes';

const plural = pluralOf('de');

export const inNotes: typeof English = {
  title: 'Notizen',
  about: (words) => `Zu „${words}“`,
  text: 'Alle mit Zugriff lesen sie. Kein Modell bekommt sie.',
  write: 'Notiz schreiben',
  open: (count) => plural(count, '1 Notiz', `${count} Notizen`),
  new: 'Neue Notiz',
  add: 'Notiz hinzufügen',
  none: 'Es gibt noch keine Notiz.',
  edit: (when) => `Notiz von ${when} bearbeiten`,
  delete: (who, when) => `Notiz von ${who}, ${when}, löschen`,
  changed: 'Text der Notiz',
  edited: 'bearbeitet',
  by: (who, when) => `${who}, ${when}`,
  close: 'Notizen schließen',
  deleteTitle: 'Diese Notiz löschen?',
  deleteText: 'Sie wird endgültig gelöscht.',
  added: 'Die Notiz wurde hinzugefügt.',
  deleted: 'Die Notiz wurde gelöscht.',
};
