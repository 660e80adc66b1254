import type { data as English } from '../data';

export const data: typeof English = {
  title: 'Mis datos',
  text: 'Lo que hay guardado de ti aquí. Los tamaños son los anteriores a la compresión de la base de datos.',
  kinds: {
    conversations: 'Conversaciones',
    messages: 'Mensajes',
    attachments: 'Archivos',
    agents: 'Asistentes',
    api_keys: 'Claves de API',
    imports: 'Importaciones',
    uploads: 'Archivos subidos que esperan una importación',
    exports: 'Exportaciones pendientes de descargar',
    search_index: 'Índice de búsqueda',
  },
  download: 'Descargar todo',
  erase: 'Eliminar mi cuenta',
  eraseText: [
    'Tu cuenta se cierra al momento: se cierran todas tus sesiones y las claves de API dejan de funcionar.',
    'En unos minutos se elimina todo lo anterior, incluidos los asistentes que compartes con otros.',
    'El registro de auditoría conserva que hiciste algo y cuándo, con direcciones de red, bajo un número que ya no lleva hasta ti. No contiene ninguna de tus palabras.',
    'La base de datos lleva un registro de sus cambios recientes. El recibo indica cuándo ya no queda nada tuyo en él. Las copias de seguridad anteriores no cambian.',
  ],
  cannotUndo: 'Esto no se puede deshacer.',
  password: 'Tu contraseña',
  eraseNow: 'Eliminar definitivamente',
  erased: 'Tu cuenta está cerrada',
  erasedText: 'Guarda la dirección de esta página: es tu recibo.',
  states: {
    removing: 'Se está eliminando lo que había guardado de ti.',
    pending:
      'Se ha eliminado todo. El registro de cambios de la base de datos aún conserva una parte.',
    final: 'Se ha eliminado todo, también del registro de cambios de la base de datos.',
  },
  removed: 'Eliminado',
  isFinal: 'Definitivo',
  expected: (when) => `previsto: ${when}`,
  unknown: 'aún no se sabe',
  documents: 'Documentos eliminados',
};
