import type { importing as English } from '../importing';

export const importing: typeof English = {
  uploading:
    'Subiendo. Deja esta página abierta hasta que termine; si la conexión se corta, se retoma.',
  uploaded: (done, all) => `${done} de ${all} subidos`,
  waiting: 'Esperando su turno…',
  reading: (done, all) => `Leyendo: ${done} de ${all}`,
  storing: (done, all) => `Guardando: ${done} de ${all} conversaciones`,
  looking: (done, all) => `Comparando: ${done} de ${all} conversaciones`,
  mayLeave: 'La importación continúa aunque salgas de esta página; al volver la verás aquí.',
  broken: 'La conexión se ha cortado; se está retomando.',
  names: (names) =>
    names.length > 4
      ? `${names.slice(0, 3).join(', ')} y ${names.length - 3} más`
      : names.join(', '),
  cancelled:
    'La importación se ha cancelado. Lo importado hasta ese momento se conserva, cada conversación entera.',
  nothing: 'No se ha importado nada: ya está todo aquí o se ha omitido.',
  failed: 'La importación ha fallado.',
  found: 'Encontradas',
  updated: 'Actualizadas',
  replaced: 'Sustituidas',
  copied: 'Copiadas',
  deletedHere: 'Eliminadas aquí',
  diverged: 'Modificadas aquí',
  formats: 'Qué se ha reconocido',
  unknown: 'Qué no se ha entendido y se conserva tal como llegó',
  earlier: 'Importaciones en segundo plano',
  states: {
    queued: 'En espera',
    running: 'En curso',
    completed: 'Terminada',
    nothing_imported: 'Nada importado',
    cancelled: 'Cancelada',
    failed: 'Fallida',
  },
  show: 'Mostrar',
  options: 'Opciones',
  duplicates: 'Lo que ya se importó antes',
  onDuplicate: {
    skip: 'Dejarlo como está',
    update: 'Añadir los mensajes nuevos al final',
    replace: 'Sustituirlo por lo que tiene el archivo',
    copy: 'Importarlo otra vez, aparte',
  },
  restore: 'Importar también lo que eliminaste aquí',
};
