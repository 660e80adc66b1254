import { translated } from './translated';

/** What is said where a limit is met, by its name. */
const LIMITS: Record<string, string> = {
  reads_per_minute: 'You have read as much as you may in a minute. Try again in a minute.',
  writes_per_minute: 'You have changed as much as you may in a minute. Try again in a minute.',
  searches_per_minute: 'You have searched as often as you may in a minute. Try again in a minute.',
  exports_per_minute: 'You have exported as often as you may in a minute. Try again in a minute.',
  messages_per_day:
    'You have written as many messages as you may today. There are more after midnight (UTC).',
  tokens_per_day:
    'Your tokens of today are used up, so models do not answer you. There are more after midnight (UTC).',
  stored_bytes:
    'Your messages take as much space as you may have. Delete some and empty the trash, or ask an administrator for more.',
};

/** What the service refused, which it says in English by itself. */
const english = {
  /** The sentence of a code, or of the limit that is met; the detail is the service's own. */
  sentence: (code: string, detail: string, limit = ''): string =>
    LIMITS[limitOf(code, limit)] ?? detail,
  /** What is wrong with a field, by the type of the error in the answer. */
  field: (_type: string, message: string): string => message,
};
export const problems = translated('problems', english);

/** Return the name of the limit that is met; imports tell no more than the code. */
export function limitOf(code: string, limit: string): string {
  return code === 'storage_full' ? 'stored_bytes' : limit;
}
