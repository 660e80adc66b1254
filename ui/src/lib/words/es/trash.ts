import { pluralOf } from '../translating';
import type { trash as English } from '../trash';

const plural = pluralOf('es');

export const trash: typeof English = {
  title: 'Papelera',
  text: 'Conversaciones eliminadas que se pueden recuperar durante algunos días.',
  empty: 'La papelera está vacía.',
  days: (count) =>
    count < 1
      ? 'se eliminará pronto definitivamente'
      : plural(count, 'queda 1 día', `quedan ${count} días`),
  held: 'protegida por una retención legal',
  deleted: (when) => `eliminada ${when}`,
  restore: 'Recuperar',
  restored: 'Recuperada.',
  undo: 'Deshacer',
  moved: 'Movida a la papelera.',
  purge: 'Eliminar definitivamente',
  purgeTitle: '¿Eliminar definitivamente esta conversación?',
  purgeText: (title) => `Después no se podrán recuperar «${title}» ni sus mensajes.`,
  emptyAll: 'Vaciar la papelera',
  emptyTitle: '¿Vaciar la papelera?',
  emptyText: 'Se eliminarán definitivamente todas las conversaciones que contiene.',
  more: 'Más',
};
