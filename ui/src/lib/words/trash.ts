import { translated } from './translated';

/** English of the trash. */
const english = {
  title: 'Trash',
  text: 'Deleted conversations, which can be restored for some days.',
  empty: 'The trash is empty.',
  days: (count: number) =>
    count < 1 ? 'deleted for good soon' : `${count} ${count === 1 ? 'day' : 'days'} left`,
  held: 'kept under a legal hold',
  deleted: (when: string) => `deleted ${when}`,
  restore: 'Restore',
  restored: 'Restored.',
  undo: 'Undo',
  moved: 'Moved to the trash.',
  purge: 'Delete for good',
  purgeTitle: 'Delete this conversation for good?',
  purgeText: (title: string) => `“${title}” and all its messages cannot be restored then.`,
  emptyAll: 'Empty the trash',
  emptyTitle: 'Empty the trash?',
  emptyText: 'All conversations in it are deleted for good.',
  more: 'More',
};
export const trash = translated('trash', english);
