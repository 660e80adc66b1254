import type { keys as English } from '../keys';
import { pluralOf } from '../translating';

const plural = pluralOf('de');

export const keys: typeof English = {
  text: 'Mit einem Schlüssel handelt ein Programm für dich, so weit dessen Berechtigungen reichen. Sende ihn als Authorization: Bearer.',
  make: 'Neuer Schlüssel',
  name: 'Name',
  nameHint: 'Wofür er ist, etwa der Name des Programms.',
  scopes: 'Er darf',
  scopeNames: {
    'conversations:read': ['Lesen', 'Unterhaltungen, Nachrichten, Dateien und Einstellungen.'],
    'conversations:write': ['Schreiben', 'Sie anlegen, ändern und löschen; schließt Lesen ein.'],
    'agents:run': [
      'Assistenten fragen',
      'Antworten von Modellen auf deine Kosten; Assistenten und Tools.',
    ],
    export: ['Exportieren', 'Unterhaltungen und alles über dich.'],
    'audit:read': [
      'Prüfprotokoll lesen',
      'Deinen Teil davon, oder alles, wo deine Rolle es erlaubt.',
    ],
    admin: ['Verwalten', 'Konten und Verbrauch.'],
  },
  lifetime: 'Er gilt',
  days: (count) => (count === 365 ? '1 Jahr' : plural(count, '1 Tag', `${count} Tage`)),
  create: 'Schlüssel erstellen',
  made: (name) => `Der Schlüssel „${name}“`,
  once: 'Kopiere ihn jetzt: Er wird nur dieses eine Mal angezeigt und nirgends gespeichert.',
  copy: 'Schlüssel kopieren',
  kept: 'Ich habe ihn kopiert',
  list: 'Schlüssel',
  none: 'Es gibt noch keinen Schlüssel.',
  never: 'Noch nicht genutzt',
  used: (when) => `Genutzt ${when}`,
  until: (day) => `bis ${day}`,
  expired: 'Abgelaufen',
  revoke: 'Widerrufen',
  revokeTitle: (name) => `„${name}“ widerrufen?`,
  revokeText:
    'Programme, die ihn verwenden, werden sofort und überall abgewiesen. Das lässt sich nicht zurücknehmen.',
  revoked: 'Der Schlüssel ist widerrufen.',
  revokeAll: 'Alle Schlüssel widerrufen',
  revokeAllTitle: 'Alle Schlüssel widerrufen?',
};
