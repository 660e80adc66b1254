import type { reasons as English } from '../reasons';

export const reasons: typeof English = {
  'conversation {}': 'Unterhaltung {}',
  'line {}': 'Zeile {}',
  'message {}': 'Nachricht {}',
  settings: 'Einstellungen',
  'the end of the file': 'das Ende der Datei',
  'the rest of the file': 'der Rest der Datei',
  'lines that are no messages': 'Zeilen, die keine Nachrichten sind',
  'lines that repeat others': 'Zeilen, die andere wiederholen',
  '{} other file': '{} andere Datei',
  '{} other files': '{} andere Dateien',
  '{} message: ': '{} Nachricht: ',
  '{} messages: ': '{} Nachrichten: ',
  "'{}' says something else than the role that is used":
    '„{}“ sagt etwas anderes als die verwendete Rolle',
  'broken characters replaced': 'kaputte Zeichen ersetzt',
  'content was no text; the original is kept beside it':
    'der Inhalt war kein Text; das Original ist daneben aufbewahrt',
  'follows itself in a circle; a branch begins with it':
    'folgt im Kreis auf sich selbst; damit beginnt ein Zweig',
  'follows one that is missing; a branch begins with it':
    'folgt auf eine, die fehlt; damit beginnt ein Zweig',
  'had no content': 'hatte keinen Inhalt',
  "had no time; a neighbour's or the conversation's is used":
    'hatte keine Zeit; die eines Nachbarn oder der Unterhaltung wird verwendet',
  'held values over {} KB, which are attachments now':
    'enthielt Werte über {} KB, die jetzt Dateien sind',
  'held values that cannot be stored as they are, which were converted':
    'enthielt Werte, die so nicht gespeichert werden können und umgewandelt wurden',
  'was left unfinished': 'blieb unvollendet',
  'was there twice; the last one is used': 'war zweimal da; die letzte wird verwendet',
  "'{}' was no time; the first message's time is used":
    '„{}“ war keine Zeit; die der ersten Nachricht wird verwendet',
  "'{}' was no time; the time in its id is used":
    '„{}“ war keine Zeit; die in der ID wird verwendet',
  "'{}' was no time; the time of import is used":
    '„{}“ war keine Zeit; die des Imports wird verwendet',
  "'{}' was no time; derived": '„{}“ war keine Zeit; sie wurde abgeleitet',
  "'{}' was left on": '„{}“ war noch an',
  "'{}' lies in the future; the time of import is used":
    '„{}“ liegt in der Zukunft; die Zeit des Imports wird verwendet',
  'a time lies in the future; the time of import is used':
    'eine Zeit liegt in der Zukunft; die des Imports wird verwendet',
  'had no id; derived from the content': 'hatte keine ID; sie ist aus dem Inhalt abgeleitet',
  'had no title': 'hatte keinen Titel',
  'the message shown last is missing; the newest is shown':
    'die zuletzt gezeigte Nachricht fehlt; die neueste wird gezeigt',
  'title cut to {} characters; whole in the metadata':
    'Titel auf {} Zeichen gekürzt; ganz in den Metadaten',
  "its id is also another conversation's; a derived one is used":
    'die ID gehört auch einer anderen Unterhaltung; eine abgeleitete wird verwendet',
  "'{}' is longer than {} characters": '„{}“ ist länger als {} Zeichen',
  "'{}' is neither a text nor an integer": '„{}“ ist weder Text noch ganze Zahl',
  "'{}' is not a list": '„{}“ ist keine Liste',
  "'{}' is not a time": '„{}“ ist keine Zeit',
  "'{}' is not a text": '„{}“ ist kein Text',
  "'{}' is neither user, assistant nor system": '„{}“ ist weder user noch assistant noch system',
  'has no known role': 'hat keine bekannte Rolle',
  'has the id of another message': 'hat die ID einer anderen Nachricht',
  "holds no '{}'": 'hat kein „{}“',
  "no '{}'": '„{}“ fehlt',
  'is larger than {} MB': 'ist größer als {} MB',
  "its '{}' is no text": '„{}“ darin ist kein Text',
  "its '{}' are wrong": '„{}“ darin sind falsch',
  "its '{}' is wrong": '„{}“ darin ist falsch',
  'not an object': 'ist kein Objekt',
  'holds half of a surrogate pair, which is no character':
    'enthält ein halbes Surrogatpaar, das kein Zeichen ist',
  'is nested deeper than {} levels': 'ist tiefer als {} Ebenen verschachtelt',
  'is larger than {} bytes': 'ist größer als {} Bytes',
  'nested deeper than {} levels': 'tiefer als {} Ebenen verschachtelt',
  'holds no messages': 'hat keine Nachrichten',
  'holds no prompt': 'hat keine Frage',
  'holds no time': 'hat keine Zeit',
  'identical to conversation {}': 'gleich wie Unterhaltung {}',
  'an older state of conversation {}': 'ein älterer Stand von Unterhaltung {}',
  'named by the manifest, and not in the archive': 'im Manifest genannt, aber nicht im Archiv',
  'no conversations': 'keine Unterhaltungen',
  'no conversations: ': 'keine Unterhaltungen: ',
  'no conversations: {} of them': 'keine Unterhaltungen: {}',
  'tags that cannot be kept: {}': 'Schlagwörter, die nicht übernommen werden können: {}',
  'not known': 'nicht bekannt',
  'of another product': 'von einem anderen Produkt',
  '{} unknown': '{} unbekannt',
  'cut off': 'abgeschnitten',
  'not JSON': 'kein JSON',
  'its name leads out of the archive': 'der Name führt aus dem Archiv heraus',
  'is encrypted': 'ist verschlüsselt',
  'tells of {} conversations, and {} are in the file':
    'nennt {} Unterhaltungen, in der Datei sind {}',
  'contents of files': 'Inhalte von Dateien',
  'contents of files that are too large': 'Inhalte zu großer Dateien',
  'contents of files beyond what your attachments may have together':
    'Inhalte von Dateien über den Platz hinaus, den deine Dateien zusammen haben',
  'contents of files that are damaged': 'Inhalte beschädigter Dateien',
  deleted_here: 'hier gelöscht',
  diverged: 'hier geändert',
  'fields of conversations over {} KB': 'Felder von Unterhaltungen über {} KB',
  'fields of messages over {} MB': 'Felder von Nachrichten über {} MB',
  'values that are no JSON': 'Werte, die kein JSON sind',
};
