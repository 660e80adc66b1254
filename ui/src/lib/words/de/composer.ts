import type { inComposer as English } from '../composer';

export const inComposer: typeof English = {
  files: {
    choose: 'Dateien anhängen',
    label: 'Zu sendende Dateien',
    unnamed: 'Datei',
    remove: (name) => `${name} entfernen`,
    sending: (name) => `${name} wird gesendet`,
    stop: 'Senden der Dateien anhalten',
    drop: 'Dateien zum Anhängen hier ablegen',
    unread: 'Dateien werden mit der Nachricht gespeichert. Der Assistent liest sie nicht.',
    needsWords: 'Schreibe eine Nachricht dazu, um sie zu senden.',
    tooLarge: (name, most) => `${name} ist größer als ${most} MB.`,
    tooMany: (most) => `Eine Nachricht zeigt höchstens ${most} Dateien.`,
  },
};
