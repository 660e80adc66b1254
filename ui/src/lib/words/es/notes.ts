import { pluralOf } from '../translating';
import type { inNotes as English } from '../notes';

const plural = pluralOf('es');

export const inNotes: typeof English = {
  title: 'Notas',
  about: (words) => `Junto a «${words}»`,
  text: 'Las leen todas las personas con acceso. No se envían a ningún modelo.',
  write: 'Escribir una nota',
  open: (count) => plural(count, '1 nota', `${count} notas`),
  new: 'Nota nueva',
  add: 'Añadir la nota',
  none: 'Todavía no hay notas.',
  edit: (when) => `Editar la nota de ${when}`,
  delete: (who, when) => `Eliminar la nota de ${who}, ${when}`,
  changed: 'Texto de la nota',
  edited: 'editada',
  by: (who, when) => `${who}, ${when}`,
  close: 'Cerrar las notas',
  deleteTitle: '¿Eliminar esta nota?',
  deleteText: 'Se elimina definitivamente.',
  added: 'Se ha añadido la nota.',
  deleted: 'Se ha eliminado la nota.',
};
