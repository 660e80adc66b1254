import { pluralOf } from '../translating';
import type { inNotes as English } from '../notes';

const plural = pluralOf('fr');

export const inNotes: typeof English = {
  title: 'Notes du message',
  about: (words) => `À côté de « ${words} »`,
  text: 'Toutes les personnes qui ont accès les lisent. Aucun modèle ne les reçoit.',
  write: 'Écrire une note',
  open: (count) => plural(count, `${count} note`, `${count} notes`),
  new: 'Nouvelle note',
  add: 'Ajouter la note',
  none: 'Il n’y a pas encore de note.',
  edit: (when) => `Modifier la note de ${when}`,
  delete: (who, when) => `Supprimer la note de ${who}, ${when}`,
  changed: 'Texte de la note',
  edited: 'modifiée',
  by: (who, when) => `${who}, ${when}`,
  close: 'Fermer les notes',
  deleteTitle: 'Supprimer cette note ?',
  deleteText: 'Elle est supprimée définitivement.',
  added: 'La note a été ajoutée.',
  deleted: 'La note a été supprimée.',
};
