import type { inThread as English } from '../thread';

export const inThread: typeof English = {
  branches: {
    label: 'Zweige',
    place: (now, all) => `${now} / ${all}`,
    spoken: (now, all) => `Zweig ${now} von ${all}`,
    earlier: 'Vorheriger Zweig',
    later: 'Nächster Zweig',
    other: 'Anderen Zweig anzeigen',
    shown: (now, all) => `Zweig ${now} von ${all} wird angezeigt.`,
    gone: 'Die Nachrichten dieses Zweigs wurden gelöscht.',
    underWay:
      'Eine Antwort wird gerade geschrieben oder wartet auf deine Entscheidung. Warte sie ab oder halte sie an und wähle dann einen anderen Zweig.',
    ask: 'Neu fragen',
    askText: 'Die bisherige Frage bleibt samt ihren Antworten daneben stehen.',
  },

  gone: 'Diese Unterhaltung wurde anderswo gelöscht.',
  goTo: {
    number: 'Nachricht Nummer',
    of: (count, shown) => (count === 1 ? 'Es gibt eine.' : `Es gibt ${shown}.`),
    goDay: 'Zum Tag',
    goNumber: 'Zur Nachricht',
    gone: 'Diese Nachricht gibt es auf diesem Zweig nicht.',
    outline: 'Deine Nachrichten',
    outlineText: 'Jeweils die ersten Wörter; wähle eine aus, um dorthin zu gehen.',
    here: 'Ab hier',
    all: 'Von Anfang an',
    none: 'Du hast hier nichts geschrieben.',
    wordless: 'Ohne Text',
  },
  role: { tool: 'Tool' },
  unreadable:
    'Diese Nachricht ist nicht lesbar: Was von ihr gespeichert ist, lässt sich nicht entschlüsseln. Sie kann gelöscht werden.',
  hidden: {
    show: (count) =>
      count === 1 ? '1 verborgene Nachricht anzeigen' : `${count} verborgene Nachrichten anzeigen`,
    hide: 'Verborgene Nachrichten ausblenden',
    badge: 'Verborgen',
  },
  time: {
    mark: '≈',
    sources: {
      neighbour: 'Die Zeit ist die einer benachbarten Nachricht.',
      conversation: 'Die Zeit ist die der Unterhaltung.',
      import: 'Die Zeit ist die des Imports.',
    },
  },

  parts: {
    thoughts: 'Gedankengang',
    thoughtsFor: (seconds) => `Gedankengang, ${seconds} Sek.`,
    call: (tool) => `Hat ${tool} verwendet`,
    resultOf: (tool) => `Ergebnis von ${tool}`,
    result: 'Ergebnis',
    input: 'Mit diesen Argumenten',
    failed: 'Fehlgeschlagen',
    sources: 'Quellen',
    source: 'Quelle',
    raw: (type) => `Unverändert übernommen: ${type}`,
    transcript: 'Transkript',
    text: 'Text der Datei',
  },

  files: {
    label: (name) => `Datei ${name}`,
    unnamed: 'Datei',
    download: (name) => `${name} herunterladen`,
    states: {
      absent: 'Nicht vorhanden: Der Inhalt war beim Import nicht dabei.',
      expired: 'Nicht vorhanden: Die Quelle hat die Datei nicht mehr.',
      unknown: 'Nicht vorhanden.',
    },
    picture: (name) => `Bild ${name}`,
  },
};
