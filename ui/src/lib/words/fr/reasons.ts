import type { reasons as English } from '../reasons';

export const reasons: typeof English = {
  'conversation {}': 'conversation n° {}',
  'line {}': 'ligne {}',
  'message {}': 'message n° {}',
  settings: 'paramètres',
  'the end of the file': 'la fin du fichier',
  'the rest of the file': 'le reste du fichier',
  'lines that are no messages': 'lignes qui ne sont pas des messages',
  'lines that repeat others': 'lignes qui en répètent d’autres',
  '{} other file': 'autre fichier ({})',
  '{} other files': '{} autres fichiers',
  '{} message: ': '{} message : ',
  '{} messages: ': '{} messages : ',
  "'{}' says something else than the role that is used":
    '« {} » dit autre chose que le rôle utilisé',
  'broken characters replaced': 'caractères abîmés remplacés',
  'content was no text; the original is kept beside it':
    'le contenu n’était pas du texte ; l’original est gardé à côté',
  'follows itself in a circle; a branch begins with it':
    'se suit lui-même en boucle ; une branche commence là',
  'follows one that is missing; a branch begins with it':
    'suit un message manquant ; une branche commence là',
  'had no content': 'n’avait pas de contenu',
  "had no time; a neighbour's or the conversation's is used":
    'n’avait pas d’heure ; celle d’un voisin ou de la conversation est utilisée',
  'held values over {} KB, which are attachments now':
    'contenait des valeurs de plus de {} Ko, devenues des fichiers',
  'held values that cannot be stored as they are, which were converted':
    'contenait des valeurs qui ne peuvent être stockées telles quelles et ont été converties',
  'was left unfinished': 'est resté inachevé',
  'was there twice; the last one is used': 'était là deux fois ; le dernier est utilisé',
  "'{}' was no time; the first message's time is used":
    '« {} » n’était pas une heure ; celle du premier message est utilisée',
  "'{}' was no time; the time in its id is used":
    '« {} » n’était pas une heure ; celle de son identifiant est utilisée',
  "'{}' was no time; the time of import is used":
    '« {} » n’était pas une heure ; celle de l’import est utilisée',
  "'{}' was no time; derived": '« {} » n’était pas une heure ; elle a été déduite',
  "'{}' was left on": '« {} » était resté actif',
  "'{}' lies in the future; the time of import is used":
    '« {} » est dans le futur ; l’heure de l’import est utilisée',
  'a time lies in the future; the time of import is used':
    'une heure est dans le futur ; celle de l’import est utilisée',
  'had no id; derived from the content': 'n’avait pas d’identifiant ; il est déduit du contenu',
  'had no title': 'n’avait pas de titre',
  'the message shown last is missing; the newest is shown':
    'le dernier message affiché manque ; le plus récent est affiché',
  'title cut to {} characters; whole in the metadata':
    'titre coupé à {} caractères ; entier dans les métadonnées',
  "its id is also another conversation's; a derived one is used":
    'son identifiant est aussi celui d’une autre conversation ; un autre est déduit',
  "'{}' is longer than {} characters": '« {} » a plus de {} caractères',
  "'{}' is neither a text nor an integer": '« {} » n’est ni un texte ni un entier',
  "'{}' is not a list": '« {} » n’est pas une liste',
  "'{}' is not a time": '« {} » n’est pas une heure',
  "'{}' is not a text": '« {} » n’est pas un texte',
  "'{}' is neither user, assistant nor system": '« {} » n’est ni user, ni assistant, ni system',
  'has no known role': 'n’a pas de rôle connu',
  'has the id of another message': 'a l’identifiant d’un autre message',
  "holds no '{}'": 'n’a pas de « {} »',
  "no '{}'": '« {} » manque',
  'is larger than {} MB': 'dépasse {} Mo',
  "its '{}' is no text": 'son « {} » n’est pas du texte',
  "its '{}' are wrong": 'ses « {} » sont incorrects',
  "its '{}' is wrong": 'son « {} » est incorrect',
  'not an object': 'n’est pas un objet',
  'holds half of a surrogate pair, which is no character':
    'contient une moitié de paire de substitution, qui n’est pas un caractère',
  'is nested deeper than {} levels': 'est imbriqué sur plus de {} niveaux',
  'is larger than {} bytes': 'dépasse {} octets',
  'nested deeper than {} levels': 'imbriqué sur plus de {} niveaux',
  'holds no messages': 'n’a pas de messages',
  'holds no prompt': 'n’a pas de question',
  'holds no time': 'n’a pas d’heure',
  'identical to conversation {}': 'identique à la conversation n° {}',
  'an older state of conversation {}': 'un état antérieur de la conversation n° {}',
  'named by the manifest, and not in the archive': 'nommé par le manifeste, absent de l’archive',
  'no conversations': 'pas de conversations',
  'no conversations: ': 'pas de conversations : ',
  'no conversations: {} of them': 'pas de conversations : {}',
  'tags that cannot be kept: {}': 'étiquettes qui ne peuvent être gardées : {}',
  'not known': 'inconnu',
  'of another product': 'd’un autre produit',
  '{} unknown': '{} inconnus',
  'cut off': 'coupé',
  'not JSON': 'pas du JSON',
  'its name leads out of the archive': 'son nom mène hors de l’archive',
  'is encrypted': 'est chiffré',
  'tells of {} conversations, and {} are in the file':
    'annonce {} conversations, et le fichier en a {}',
  'contents of files': 'contenus de fichiers',
  'contents of files that are too large': 'contenus de fichiers trop volumineux',
  'contents of files beyond what your attachments may have together':
    'contenus de fichiers au-delà de l’espace de vos fichiers',
  'contents of files that are damaged': 'contenus de fichiers abîmés',
  deleted_here: 'supprimées ici',
  diverged: 'modifiées ici',
  'fields of conversations over {} KB': 'champs de conversations de plus de {} Ko',
  'fields of messages over {} MB': 'champs de messages de plus de {} Mo',
  'values that are no JSON': 'valeurs qui ne sont pas du JSON',
};
