import type { reasons as English } from '../reasons';

export const reasons: typeof English = {
  'conversation {}': 'conversación {}',
  'line {}': 'línea {}',
  'message {}': 'mensaje {}',
  settings: 'ajustes',
  'the end of the file': 'el final del archivo',
  'the rest of the file': 'el resto del archivo',
  'lines that are no messages': 'líneas que no son mensajes',
  'lines that repeat others': 'líneas que repiten otras',
  '{} other file': 'otro archivo ({})',
  '{} other files': 'otros {} archivos',
  '{} message: ': '{} mensaje: ',
  '{} messages: ': '{} mensajes: ',
  "'{}' says something else than the role that is used":
    '«{}» dice algo distinto del rol que se usa',
  'broken characters replaced': 'se sustituyeron caracteres dañados',
  'content was no text; the original is kept beside it':
    'el contenido no era texto; el original se guarda al lado',
  'follows itself in a circle; a branch begins with it':
    'se sigue a sí mismo en círculo; empieza una rama',
  'follows one that is missing; a branch begins with it': 'sigue a uno que falta; empieza una rama',
  'had no content': 'no tenía contenido',
  "had no time; a neighbour's or the conversation's is used":
    'no tenía hora; se usa la de otro mensaje o la de la conversación',
  'held values over {} KB, which are attachments now':
    'tenía valores de más de {} KB, que ahora son archivos',
  'held values that cannot be stored as they are, which were converted':
    'tenía valores que no se pueden guardar tal cual y se convirtieron',
  'was left unfinished': 'quedó sin terminar',
  'was there twice; the last one is used': 'estaba dos veces; se usa el último',
  "'{}' was no time; the first message's time is used":
    '«{}» no era una hora; se usa la del primer mensaje',
  "'{}' was no time; the time in its id is used":
    '«{}» no era una hora; se usa la de su identificador',
  "'{}' was no time; the time of import is used":
    '«{}» no era una hora; se usa la de la importación',
  "'{}' was no time; derived": '«{}» no era una hora; se dedujo',
  "'{}' was left on": '«{}» seguía activado',
  "'{}' lies in the future; the time of import is used":
    '«{}» está en el futuro; se usa la hora de la importación',
  'a time lies in the future; the time of import is used':
    'una hora está en el futuro; se usa la de la importación',
  'had no id; derived from the content': 'no tenía identificador; se dedujo del contenido',
  'had no title': 'no tenía título',
  'the message shown last is missing; the newest is shown':
    'falta el último mensaje mostrado; se muestra el más nuevo',
  'title cut to {} characters; whole in the metadata':
    'título cortado a {} caracteres; entero en los metadatos',
  "its id is also another conversation's; a derived one is used":
    'su identificador es también el de otra conversación; se usa uno deducido',
  "'{}' is longer than {} characters": '«{}» tiene más de {} caracteres',
  "'{}' is neither a text nor an integer": '«{}» no es ni texto ni número entero',
  "'{}' is not a list": '«{}» no es una lista',
  "'{}' is not a time": '«{}» no es una hora',
  "'{}' is not a text": '«{}» no es un texto',
  "'{}' is neither user, assistant nor system": '«{}» no es ni user, ni assistant, ni system',
  'has no known role': 'no tiene un rol conocido',
  'has the id of another message': 'tiene el identificador de otro mensaje',
  "holds no '{}'": 'no tiene «{}»',
  "no '{}'": 'falta «{}»',
  'is larger than {} MB': 'ocupa más de {} MB',
  "its '{}' is no text": 'su «{}» no es texto',
  "its '{}' are wrong": 'sus «{}» son incorrectos',
  "its '{}' is wrong": 'su «{}» es incorrecto',
  'not an object': 'no es un objeto',
  'holds half of a surrogate pair, which is no character':
    'contiene medio par sustituto, que no es un carácter',
  'is nested deeper than {} levels': 'anida más de {} niveles',
  'is larger than {} bytes': 'ocupa más de {} bytes',
  'nested deeper than {} levels': 'anidado en más de {} niveles',
  'holds no messages': 'no tiene mensajes',
  'holds no prompt': 'no tiene pregunta',
  'holds no time': 'no tiene hora',
  'identical to conversation {}': 'idéntica a la conversación {}',
  'an older state of conversation {}': 'un estado anterior de la conversación {}',
  'named by the manifest, and not in the archive':
    'lo nombra el manifiesto y no está en el archivo',
  'no conversations': 'sin conversaciones',
  'no conversations: ': 'sin conversaciones: ',
  'no conversations: {} of them': 'sin conversaciones: {}',
  'tags that cannot be kept: {}': 'etiquetas que no se pueden conservar: {}',
  'not known': 'no se conoce',
  'of another product': 'de otro producto',
  '{} unknown': '{} desconocidos',
  'cut off': 'cortado',
  'not JSON': 'no es JSON',
  'its name leads out of the archive': 'su nombre lleva fuera del archivo',
  'is encrypted': 'está cifrado',
  'tells of {} conversations, and {} are in the file':
    'habla de {} conversaciones, y en el archivo hay {}',
  'contents of files': 'contenidos de archivos',
  'contents of files that are too large': 'contenidos de archivos demasiado grandes',
  'contents of files beyond what your attachments may have together':
    'contenidos de archivos que superan el espacio para tus archivos',
  'contents of files that are damaged': 'contenidos de archivos dañados',
  deleted_here: 'eliminadas aquí',
  diverged: 'cambiadas aquí',
  'fields of conversations over {} KB': 'campos de conversaciones de más de {} KB',
  'fields of messages over {} MB': 'campos de mensajes de más de {} MB',
  'values that are no JSON': 'valores que no son JSON',
};
