import { language } from './language.svelte';
import { translated } from './translated';

/** English of a thread's branches and of what messages hold; read with the first thread. */
const english = {
  branches: {
    label: 'Branches',
    place: (now: string, all: string) => `${now} / ${all}`,
    spoken: (now: string, all: string) => `Branch ${now} of ${all}`,
    earlier: 'Earlier branch',
    later: 'Later branch',
    other: 'Show the other branch',
    shown: (now: string, all: string) => `Branch ${now} of ${all} is shown.`,
    gone: 'The messages of this branch were deleted.',
    underWay:
      'An answer is being written, or waits for your decision. Wait for it or stop it, and choose another branch then.',
    ask: 'Ask again',
    askText: 'The question as it was stays beside this one, with its answers.',
  },

  gone: 'This conversation was deleted elsewhere.',
  goTo: {
    number: 'Message number',
    of: (count: number, shown: string) => (count === 1 ? 'There is one.' : `There are ${shown}.`),
    goDay: 'Go to the day',
    goNumber: 'Go to the message',
    gone: 'There is no such message on this branch.',
    outline: 'Your messages',
    outlineText: 'The first words of each; choose one to go there.',
    here: 'From here on',
    all: 'From the beginning',
    none: 'You wrote nothing here.',
    wordless: 'Without words',
  },
  role: { tool: 'Tool' },
  unreadable: 'This message cannot be read: what is stored of it does not open. It can be deleted.',
  hidden: {
    show: (count: number) =>
      count === 1 ? 'Show 1 hidden message' : `Show ${count} hidden messages`,
    hide: 'Hide hidden messages',
    badge: 'Hidden',
  },
  time: {
    mark: '≈',
    sources: {
      neighbour: 'The time is that of a message beside it.',
      conversation: 'The time is that of the conversation.',
      import: 'The time is that of the import.',
    } as Record<string, string>,
  },

  parts: {
    thoughts: 'Thoughts',
    thoughtsFor: (seconds: string) => `Thoughts, ${seconds} s`,
    call: (tool: string) => `Used ${tool}`,
    resultOf: (tool: string) => `Result of ${tool}`,
    result: 'Result',
    input: 'With these arguments',
    failed: 'Failed',
    sources: 'Sources',
    source: 'Source',
    raw: (type: string) => `Kept as it came: ${type}`,
    transcript: 'Transcript',
    text: 'Text of the file',
  },

  files: {
    label: (name: string) => `File ${name}`,
    unnamed: 'File',
    download: (name: string) => `Download ${name}`,
    states: {
      absent: 'Not here: its bytes did not come with the import.',
      expired: 'Not here: its source has it no longer.',
      unknown: 'Not here.',
    } as Record<string, string>,
    picture: (name: string) => `Picture ${name}`,
  },
};
export const inThread = translated('inThread', english);

const SIZES = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** A size of a file, such as "5.1 kB". */
export function sizeOf(bytes: number): string {
  const step = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, Math.abs(bytes))) / 3));
  return new Intl.NumberFormat(language.locale, {
    style: 'unit',
    unit: SIZES[step],
    unitDisplay: step ? 'short' : 'long',
    maximumFractionDigits: 1,
  }).format(bytes / 1000 ** step);
}
