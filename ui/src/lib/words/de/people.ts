import { pluralOf } from '../translating';
import type { withPeople as English } from '../people';

const plural = pluralOf('de');

export const withPeople: typeof English = {
  section: 'Personen',
  text: 'Personen, die hier ein Konto haben. Sie finden sie unter „Mit mir geteilt“.',
  name: 'Benutzername',
  role: 'Rolle',
  roleOf: (name) => `Rolle von ${name}`,
  roles: { viewer: 'Betrachter', commenter: 'Kommentator', editor: 'Bearbeiter' },
  may: {
    viewer: 'liest',
    commenter: 'liest und schreibt Notizen zu Nachrichten',
    editor: 'liest, schreibt Notizen und schreibt und bearbeitet Nachrichten',
  },
  lasts: 'Zugriff gilt',
  always: 'Bis ich ihn beende',
  add: 'Teilen',
  list: 'Wer Zugriff hat',
  none: 'Niemand außer dir.',
  you: 'Du',
  owner: 'Besitzer',
  gone: 'Konto gelöscht',
  until: (day) => `bis ${day}`,
  expired: (day) => `am ${day} abgelaufen`,
  end: 'Zugriff beenden',
  endOf: (name) => `Zugriff von ${name} beenden`,
  added: (name) => `${name} hat jetzt Zugriff.`,
  changed: (name) => `Die Rolle von ${name} wurde geändert.`,
  ended: (name) => `${name} hat keinen Zugriff mehr.`,
  problems: {
    own: 'Das bist du selbst: Sie gehört dir schon.',
    user_not_found: 'Hier gibt es niemanden mit diesem Namen.',
    too_many_grants:
      'Sie ist schon mit so vielen Personen geteilt wie möglich. Beende zuerst den Zugriff von jemandem.',
    too_many_requests: 'Das war zu oft. Versuche es in einer Minute noch einmal.',
  },
  bar: (count) => plural(count, 'Mit 1 Person geteilt', `Mit ${count} Personen geteilt`),
  links: 'Öffentliche Links',

  withMe: {
    title: 'Mit mir geteilt',
    text: 'Unterhaltungen anderer, auf die du Zugriff hast.',
    list: 'Mit mir geteilte Unterhaltungen',
    empty: 'Niemand teilt eine Unterhaltung mit dir.',
    conversation: 'Unterhaltung',
    owner: 'Von',
    role: 'Du bist',
    since: 'Geteilt',
    changed: 'Letzte Änderung',
    nobody: 'gelöschtes Konto',
  },

  guest: {
    of: (name) => `Von ${name}.`,
    ofSomebody: 'Von jemand anderem.',
    may: {
      viewer: 'Du kannst sie lesen.',
      commenter: 'Du kannst sie lesen und Notizen schreiben.',
      editor: 'Du kannst sie lesen und Nachrichten und Notizen schreiben und bearbeiten.',
    },
    asks: 'Der Assistent antwortet dir hier auf Kosten des Besitzers.',
    asksNot: 'Der Assistent antwortet dir hier nicht: Der Besitzer hat das nicht erlaubt.',
    byGroup: 'Du hast sie durch eine Gruppe: Verlasse die Gruppe in den Einstellungen.',
    leave: 'Verlassen',
    leaveTitle: 'Diese Unterhaltung verlassen?',
    leaveText: 'Du verlierst den Zugriff. Was du darin geschrieben hast, bleibt dort.',
    left: 'Du hast keinen Zugriff mehr darauf.',
    ended:
      'Du hast keinen Zugriff mehr auf diese Unterhaltung. Du siehst sie, wie sie war; sobald du diese Seite verlässt, ist sie weg.',
  },
  somebody: 'Jemand anderes',
  by: (name) => `von ${name}`,
};
