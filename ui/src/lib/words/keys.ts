import type { Scope } from '#lib/api/types';
import { translated } from './translated';

/** English of API keys. */
const english = {
  text: 'With a key, a program acts for you, as far as the key’s scopes go. Send it as Authorization: Bearer.',
  make: 'New key',
  name: 'Name',
  nameHint: 'What it is for, such as the name of the program.',
  scopes: 'It may',
  scopeNames: {
    'conversations:read': ['Read', 'Conversations, messages, files and settings.'],
    'conversations:write': ['Write', 'Create, change and delete them; includes reading.'],
    'agents:run': ['Ask assistants', 'Replies of models, at your cost; assistants and tools.'],
    export: ['Export', 'Conversations, and everything about you.'],
    'audit:read': ['Read the audit log', 'Your part of it, or all where your role allows it.'],
    admin: ['Administrate', 'Accounts and usage.'],
  } satisfies Record<Scope, [string, string]> as Record<Scope, [string, string]>,
  lifetime: 'It works for',
  days: (count: number) => (count === 365 ? '1 year' : `${count} days`),
  create: 'Make the key',
  made: (name: string) => `The key “${name}”`,
  once: 'Copy it now: it is shown this once, and stored nowhere.',
  copy: 'Copy the key',
  kept: 'I have copied it',
  list: 'Keys',
  none: 'There is no key yet.',
  never: 'Not used yet',
  used: (when: string) => `Used ${when}`,
  until: (day: string) => `until ${day}`,
  expired: 'Expired',
  revoke: 'Revoke',
  revokeTitle: (name: string) => `Revoke “${name}”?`,
  revokeText: 'Programs that use it are refused at once, everywhere. It cannot be taken back.',
  revoked: 'The key is revoked.',
  revokeAll: 'Revoke all keys',
  revokeAllTitle: 'Revoke all keys?',
};
export const keys = translated('keys', english);
