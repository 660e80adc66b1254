import { translated } from './translated';

/** English of exports and of imports in the background. */
const english = {
  export: {
    title: 'Export',
    format: 'Form',
    formats: {
      markdown: [
        'Markdown',
        'Notes to read and to search, also in Obsidian; no data is read back from them.',
      ],
      html: ['HTML', 'Pages to look at in a browser, without scripts.'],
      pdf: ['PDF', 'Pages to print.'],
      json: ['JSON', 'All of it, with every branch; chatvault reads it back.'],
      ndjson: ['NDJSON', 'The same, a line for each piece, for programs.'],
      openai: ['OpenAI', 'Messages as OpenAI’s API takes them, for training.'],
      sharegpt: ['ShareGPT', 'Conversations for training.'],
    },
    one: (title: string) => `Export “${title}”`,
    some: (count: number) =>
      count === 1 ? 'Export 1 conversation' : `Export ${count} conversations`,
    text: 'Your conversations as files. A large export is made in the background, in parts that can be downloaded one by one and once more where a download broke off.',
    which: 'Which conversations',
    selections: { all: 'All', active: 'Active ones', archived: 'Archived ones' },
    since: 'Changed from',
    before: 'Changed until',
    dates: 'Leave a day empty for no limit.',
    selected: 'To export single ones, select them in the library.',
    now: 'Download',
    begin: 'Make the export',
    begun: 'The export is being made. It goes on when you leave this page.',
    list: 'Exports',
    none: 'None was made in the background yet.',
    states: {
      waiting: 'Waiting',
      running: 'Running',
      done: 'Done',
      failed: 'Failed',
      removed: 'Removed',
    },
    progress: (done: string, total: string) => `${done} of ${total} conversations`,
    holds: (conversations: string, messages: string) => `${conversations}, ${messages}`,
    missing: (cut: string, changed: string) =>
      `${cut} were cut off and ${changed} changed while they were exported.`,
    part: (name: string, size: string) => `${name}, ${size}`,
    until: (day: string) => `Kept until ${day}`,
    remove: 'Remove',
    stop: 'Cancel',
    gone: 'The export is removed.',
    failedText: (code: string) => `The export failed (${code}). Make it once more.`,
    account: 'Everything about you, the account too, is in Settings, Account.',
  },
};
export const exchange = translated('exchange', english);
