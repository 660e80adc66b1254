import type { inThread as English } from '../thread';

export const inThread: typeof English = {
  branches: {
    label: 'Ramas',
    place: (now, all) => `${now} / ${all}`,
    spoken: (now, all) => `Rama ${now} de ${all}`,
    earlier: 'Rama anterior',
    later: 'Rama siguiente',
    other: 'Mostrar la otra rama',
    shown: (now, all) => `Se muestra la rama ${now} de ${all}.`,
    gone: 'Los mensajes de esta rama se han eliminado.',
    underWay:
      'Se está escribiendo una respuesta, o espera tu decisión. Espera a que termine o detenla, y elige después otra rama.',
    ask: 'Preguntar de nuevo',
    askText: 'La pregunta tal como estaba se conserva junto a esta, con sus respuestas.',
  },

  gone: 'Esta conversación se ha eliminado en otro lugar.',
  goTo: {
    number: 'Número de mensaje',
    of: (count, shown) => (count === 1 ? 'Hay uno.' : `Hay ${shown}.`),
    goDay: 'Ir al día',
    goNumber: 'Ir al mensaje',
    gone: 'No existe ese mensaje en esta rama.',
    outline: 'Tus mensajes',
    outlineText: 'Las primeras palabras de cada uno; elige uno para ir a él.',
    here: 'Desde aquí',
    all: 'Desde el principio',
    none: 'No has escrito nada aquí.',
    wordless: 'Sin texto',
  },
  role: { tool: 'Herramienta' },
  unreadable:
    'Este mensaje no se puede leer: lo que hay guardado de él no se puede descifrar. Se puede eliminar.',
  hidden: {
    show: (count) =>
      count === 1 ? 'Mostrar 1 mensaje oculto' : `Mostrar ${count} mensajes ocultos`,
    hide: 'Ocultar los mensajes ocultos',
    badge: 'Oculto',
  },
  time: {
    mark: '≈',
    sources: {
      neighbour: 'La hora es la de un mensaje contiguo.',
      conversation: 'La hora es la de la conversación.',
      import: 'La hora es la de la importación.',
    },
  },

  parts: {
    thoughts: 'Razonamiento',
    thoughtsFor: (seconds) => `Razonamiento, ${seconds} s`,
    call: (tool) => `Ha usado ${tool}`,
    resultOf: (tool) => `Resultado de ${tool}`,
    result: 'Resultado',
    input: 'Con estos argumentos',
    failed: 'Fallido',
    sources: 'Fuentes',
    source: 'Fuente',
    raw: (type) => `Conservado tal como llegó: ${type}`,
    transcript: 'Transcripción',
    text: 'Texto del archivo',
  },

  files: {
    label: (name) => `Archivo ${name}`,
    unnamed: 'Archivo',
    download: (name) => `Descargar ${name}`,
    states: {
      absent: 'No disponible: su contenido no venía en la importación.',
      expired: 'No disponible: su origen ya no lo tiene.',
      unknown: 'No disponible.',
    },
    picture: (name) => `Imagen ${name}`,
  },
};
