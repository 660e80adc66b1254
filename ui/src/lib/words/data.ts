import { translated } from './translated';

/** English of one's data as a whole, and of its erasure. */
const english = {
  title: 'My data',
  text: 'What is stored of you here. Sizes are those before the database compresses.',
  kinds: {
    conversations: 'Conversations',
    messages: 'Messages',
    attachments: 'Files',
    agents: 'Assistants',
    api_keys: 'API keys',
    imports: 'Imports',
    uploads: 'Uploads that wait for an import',
    exports: 'Exports that wait to be downloaded',
    search_index: 'Search index',
  },
  download: 'Download everything',
  erase: 'Delete my account',
  eraseText: [
    'Your account is closed at once: you are signed out everywhere, and API keys stop working.',
    'Within minutes, everything above is removed. Assistants that you share with others go, too.',
    'The audit log keeps that you did something and when, with network addresses, under a number that no longer leads to you. It holds none of your words.',
    'The database keeps a log of its recent changes. The receipt tells when that log has nothing of yours any more. Backups that were made before are not changed.',
  ],
  cannotUndo: 'This cannot be undone.',
  password: 'Your password',
  eraseNow: 'Delete it for good',
  erased: 'Your account is closed',
  erasedText: 'Keep the address of this page: it is your receipt.',
  states: {
    removing: 'What was stored of you is being removed.',
    pending: 'Everything was removed. The database’s log of changes still has some of it.',
    final: 'Everything was removed, from the database’s log of changes as well.',
  },
  removed: 'Removed',
  isFinal: 'Final',
  expected: (when: string) => `expected ${when}`,
  unknown: 'not known yet',
  documents: 'Documents removed',
};
export const data = translated('data', english);
