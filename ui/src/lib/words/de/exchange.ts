import type { exchange as English } from '../exchange';
import { pluralOf } from '../translating';

const plural = pluralOf('de');

export const exchange: typeof English = {
  export: {
    title: 'Exportieren',
    format: 'Format',
    formats: {
      markdown: [
        'Markdown',
        'Notizen zum Lesen und Durchsuchen, auch in Obsidian; daraus lässt sich nichts wieder einlesen.',
      ],
      html: ['HTML', 'Seiten zum Ansehen im Browser, ohne Skripte.'],
      pdf: ['PDF', 'Seiten zum Drucken.'],
      json: ['JSON', 'Alles, mit jedem Zweig; chatvault liest es wieder ein.'],
      ndjson: ['NDJSON', 'Dasselbe, eine Zeile je Stück, für Programme.'],
      openai: ['OpenAI', 'Nachrichten, wie die API von OpenAI sie annimmt, fürs Training.'],
      sharegpt: ['ShareGPT', 'Unterhaltungen fürs Training.'],
    },
    one: (title) => `„${title}“ exportieren`,
    some: (count) =>
      plural(count, '1 Unterhaltung exportieren', `${count} Unterhaltungen exportieren`),
    text: 'Deine Unterhaltungen als Dateien. Ein großer Export entsteht im Hintergrund, in Teilen, die sich einzeln herunterladen lassen, auch noch einmal, falls ein Download abbricht.',
    which: 'Welche Unterhaltungen',
    selections: { all: 'Alle', active: 'Aktive', archived: 'Archivierte' },
    since: 'Geändert ab',
    before: 'Geändert bis',
    dates: 'Lass einen Tag leer, um nicht zu begrenzen.',
    selected: 'Um einzelne zu exportieren, wähle sie in der Bibliothek aus.',
    now: 'Herunterladen',
    begin: 'Export erstellen',
    begun: 'Der Export wird erstellt. Er läuft weiter, wenn du diese Seite verlässt.',
    list: 'Exporte',
    none: 'Im Hintergrund wurde noch keiner erstellt.',
    states: {
      waiting: 'Wartet',
      running: 'Läuft',
      done: 'Fertig',
      failed: 'Fehlgeschlagen',
      removed: 'Entfernt',
    },
    progress: (done, total) => `${done} von ${total} Unterhaltungen`,
    holds: (conversations, messages) => `${conversations}, ${messages}`,
    missing: (cut, changed) => `Abgeschnitten: ${cut}; während des Exports geändert: ${changed}.`,
    part: (name, size) => `${name} (${size})`,
    until: (day) => `Wird bis ${day} aufbewahrt`,
    remove: 'Entfernen',
    stop: 'Abbrechen',
    gone: 'Der Export ist entfernt.',
    failedText: (code) => `Der Export ist fehlgeschlagen (${code}). Erstelle ihn noch einmal.`,
    account: 'Alles über dich, auch das Konto, findest du unter Einstellungen, Konto.',
  },
};
