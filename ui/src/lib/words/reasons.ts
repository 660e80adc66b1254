import { translated } from './translated';

/**
 * English of what reports of imports say, as the service says it: a number, and a quoted name, is
 * `{}`. What ends in a colon is put before something else.
 */
const english = {
  'conversation {}': 'conversation {}',
  'line {}': 'line {}',
  'message {}': 'message {}',
  settings: 'settings',
  'the end of the file': 'the end of the file',
  'the rest of the file': 'the rest of the file',
  'lines that are no messages': 'lines that are no messages',
  'lines that repeat others': 'lines that repeat others',
  '{} other file': '{} other file',
  '{} other files': '{} other files',
  '{} message: ': '{} message: ',
  '{} messages: ': '{} messages: ',
  "'{}' says something else than the role that is used":
    "'{}' says something else than the role that is used",
  'broken characters replaced': 'broken characters replaced',
  'content was no text; the original is kept beside it':
    'content was no text; the original is kept beside it',
  'follows itself in a circle; a branch begins with it':
    'follows itself in a circle; a branch begins with it',
  'follows one that is missing; a branch begins with it':
    'follows one that is missing; a branch begins with it',
  'had no content': 'had no content',
  "had no time; a neighbour's or the conversation's is used":
    "had no time; a neighbour's or the conversation's is used",
  'held values over {} KB, which are attachments now':
    'held values over {} KB, which are attachments now',
  'held values that cannot be stored as they are, which were converted':
    'held values that cannot be stored as they are, which were converted',
  'was left unfinished': 'was left unfinished',
  'was there twice; the last one is used': 'was there twice; the last one is used',
  "'{}' was no time; the first message's time is used":
    "'{}' was no time; the first message's time is used",
  "'{}' was no time; the time in its id is used": "'{}' was no time; the time in its id is used",
  "'{}' was no time; the time of import is used": "'{}' was no time; the time of import is used",
  "'{}' was no time; derived": "'{}' was no time; derived",
  "'{}' was left on": "'{}' was left on",
  "'{}' lies in the future; the time of import is used":
    "'{}' lies in the future; the time of import is used",
  'a time lies in the future; the time of import is used':
    'a time lies in the future; the time of import is used',
  'had no id; derived from the content': 'had no id; derived from the content',
  'had no title': 'had no title',
  'the message shown last is missing; the newest is shown':
    'the message shown last is missing; the newest is shown',
  'title cut to {} characters; whole in the metadata':
    'title cut to {} characters; whole in the metadata',
  "its id is also another conversation's; a derived one is used":
    "its id is also another conversation's; a derived one is used",
  "'{}' is longer than {} characters": "'{}' is longer than {} characters",
  "'{}' is neither a text nor an integer": "'{}' is neither a text nor an integer",
  "'{}' is not a list": "'{}' is not a list",
  "'{}' is not a time": "'{}' is not a time",
  "'{}' is not a text": "'{}' is not a text",
  "'{}' is neither user, assistant nor system": "'{}' is neither user, assistant nor system",
  'has no known role': 'has no known role',
  'has the id of another message': 'has the id of another message',
  "holds no '{}'": "holds no '{}'",
  "no '{}'": "no '{}'",
  'is larger than {} MB': 'is larger than {} MB',
  "its '{}' is no text": "its '{}' is no text",
  "its '{}' are wrong": "its '{}' are wrong",
  "its '{}' is wrong": "its '{}' is wrong",
  'not an object': 'not an object',
  'holds half of a surrogate pair, which is no character':
    'holds half of a surrogate pair, which is no character',
  'is nested deeper than {} levels': 'is nested deeper than {} levels',
  'is larger than {} bytes': 'is larger than {} bytes',
  'nested deeper than {} levels': 'nested deeper than {} levels',
  'holds no messages': 'holds no messages',
  'holds no prompt': 'holds no prompt',
  'holds no time': 'holds no time',
  'identical to conversation {}': 'identical to conversation {}',
  'an older state of conversation {}': 'an older state of conversation {}',
  'named by the manifest, and not in the archive': 'named by the manifest, and not in the archive',
  'no conversations': 'no conversations',
  'no conversations: ': 'no conversations: ',
  'no conversations: {} of them': 'no conversations: {} of them',
  'tags that cannot be kept: {}': 'tags that cannot be kept: {}',
  'not known': 'not known',
  'of another product': 'of another product',
  '{} unknown': '{} unknown',
  'cut off': 'cut off',
  'not JSON': 'not JSON',
  'its name leads out of the archive': 'its name leads out of the archive',
  'is encrypted': 'is encrypted',
  'tells of {} conversations, and {} are in the file':
    'tells of {} conversations, and {} are in the file',
  'contents of files': 'contents of files',
  'contents of files that are too large': 'contents of files that are too large',
  'contents of files beyond what your attachments may have together':
    'contents of files beyond what your attachments may have together',
  'contents of files that are damaged': 'contents of files that are damaged',
  deleted_here: 'deleted here',
  diverged: 'changed here',
  'fields of conversations over {} KB': 'fields of conversations over {} KB',
  'fields of messages over {} MB': 'fields of messages over {} MB',
  'values that are no JSON': 'values that are no JSON',
};
export const reasons = translated('reasons', english);

const GIVEN = /'([\w.[\]-]+)'|\d[\d,]*/g;
const LEAD = /^(\d+ messages?: |no conversations: )(.+)$/;

/** Return what a report says in the language of the page; names of other programs stay. */
export function reasonOf(text: string): string {
  const [, lead = '', rest = text] = LEAD.exec(text) ?? [];
  const known = wordsOf(text);
  return lead && known === text ? wordsOf(lead) + wordsOf(rest) : known;
}

/** Return a place, such as `conversation 3, message 2`, in the language of the page. */
export function placeOf(text: string): string {
  return text.replace(/[^,]+(?=,|$)/g, (part) => {
    const bare = part.trimStart();
    return part.slice(0, part.length - bare.length) + wordsOf(bare);
  });
}

function wordsOf(text: string): string {
  const given: string[] = [];
  const key = text.replace(GIVEN, (whole: string, name?: string) => {
    given.push(name ?? whole);
    return name ? "'{}'" : '{}';
  });
  const found = (reasons as Record<string, string>)[key];
  return found?.replace(/\{\}/g, () => given.shift() ?? '') ?? text;
}
