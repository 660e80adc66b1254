import type { exchange as English } from '../exchange';
import { pluralOf } from '../translating';

const plural = pluralOf('es');

export const exchange: typeof English = {
  export: {
    title: 'Exportar',
    format: 'Formato',
    formats: {
      markdown: [
        'Markdown',
        'Notas para leer y buscar, también en Obsidian; de ellas no se vuelve a importar nada.',
      ],
      html: ['HTML', 'Páginas para ver en el navegador, sin scripts.'],
      pdf: ['PDF', 'Páginas para imprimir.'],
      json: ['JSON', 'Todo, con cada rama; chatvault puede volver a leerlo.'],
      ndjson: ['NDJSON', 'Lo mismo, una línea por elemento, para programas.'],
      openai: ['OpenAI', 'Mensajes tal como los admite la API de OpenAI, para entrenar.'],
      sharegpt: ['ShareGPT', 'Conversaciones para entrenar.'],
    },
    one: (title) => `Exportar «${title}»`,
    some: (count) => plural(count, 'Exportar 1 conversación', `Exportar ${count} conversaciones`),
    text: 'Tus conversaciones en archivos. Una exportación grande se prepara en segundo plano, en partes que se descargan una a una, y de nuevo si una descarga se corta.',
    which: 'Qué conversaciones',
    selections: { all: 'Todas', active: 'Activas', archived: 'Archivadas' },
    since: 'Modificadas desde',
    before: 'Modificadas hasta',
    dates: 'Deja un día vacío para no poner límite.',
    selected: 'Para exportar solo algunas, selecciónalas en la biblioteca.',
    now: 'Descargar',
    begin: 'Preparar la exportación',
    begun: 'La exportación se está preparando. Continúa aunque salgas de esta página.',
    list: 'Exportaciones',
    none: 'Todavía no se ha preparado ninguna en segundo plano.',
    states: {
      waiting: 'En espera',
      running: 'En curso',
      done: 'Lista',
      failed: 'Fallida',
      removed: 'Eliminada',
    },
    progress: (done, total) => `${done} de ${total} conversaciones`,
    holds: (conversations, messages) => `${conversations}, ${messages}`,
    missing: (cut, changed) => `Cortadas: ${cut}; modificadas durante la exportación: ${changed}.`,
    part: (name, size) => `${name} (${size})`,
    until: (day) => `Se conserva hasta el ${day}`,
    remove: 'Eliminar',
    stop: 'Cancelar',
    gone: 'La exportación se ha eliminado.',
    failedText: (code) => `La exportación ha fallado (${code}). Prepárala de nuevo.`,
    account: 'Todo sobre ti, también la cuenta, está en Ajustes, Cuenta.',
  },
};
