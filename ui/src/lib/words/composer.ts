import { translated } from './translated';

/** English of files in the composer. */
const english = {
  files: {
    choose: 'Attach files',
    label: 'Files to send',
    unnamed: 'file',
    remove: (name: string) => `Remove ${name}`,
    sending: (name: string) => `Sending ${name}`,
    stop: 'Stop sending files',
    drop: 'Drop files to attach them',
    unread: 'Files are kept with the message. The assistant does not read them.',
    needsWords: 'Write a message to send them with.',
    tooLarge: (name: string, most: number) => `${name} is larger than ${most} MB.`,
    tooMany: (most: number) => `A message shows at most ${most} files.`,
  },
};
export const inComposer = translated('inComposer', english);
