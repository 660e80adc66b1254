import { pluralOf } from '../translating';
import type { trash as English } from '../trash';

const plural = pluralOf('fr');

export const trash: typeof English = {
  title: 'Corbeille',
  text: 'Les conversations supprimées, qui peuvent être restaurées pendant quelques jours.',
  empty: 'La corbeille est vide.',
  days: (count) =>
    count < 1
      ? 'bientôt supprimée définitivement'
      : plural(count, `encore ${count} jour`, `encore ${count} jours`),
  held: 'protégée par une conservation légale',
  deleted: (when) => `supprimée ${when}`,
  restore: 'Restaurer',
  restored: 'Restaurée.',
  undo: 'Annuler',
  moved: 'Mise à la corbeille.',
  purge: 'Supprimer définitivement',
  purgeTitle: 'Supprimer définitivement cette conversation ?',
  purgeText: (title) => `« ${title} » et tous ses messages ne pourront plus être restaurés.`,
  emptyAll: 'Vider la corbeille',
  emptyTitle: 'Vider la corbeille ?',
  emptyText: 'Toutes les conversations qu’elle contient sont supprimées définitivement.',
  more: 'Plus',
};
