import { translated } from './translated';

/** English of notes beside messages. */
const english = {
  title: 'Notes',
  about: (words: string) => `Beside “${words}”`,
  text: 'Everybody with access reads them. No model is sent them.',
  write: 'Write a note',
  open: (count: number) => (count === 1 ? '1 note' : `${count} notes`),
  new: 'New note',
  add: 'Add the note',
  none: 'There is no note yet.',
  edit: (when: string) => `Edit the note of ${when}`,
  delete: (who: string, when: string) => `Delete the note by ${who}, ${when}`,
  changed: 'Text of the note',
  edited: 'edited',
  by: (who: string, when: string) => `${who}, ${when}`,
  close: 'Close the notes',
  deleteTitle: 'Delete this note?',
  deleteText: 'It is deleted for good.',
  added: 'The note is added.',
  deleted: 'The note is deleted.',
};
export const inNotes = translated('inNotes', english);
