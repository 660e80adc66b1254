import type { trash as English } from '../trash';

export const trash: typeof English = {
  title: '回收站',
  text: '已删除的对话，几天之内可以恢复。',
  empty: '回收站是空的。',
  days: (count) => (count < 1 ? '即将永久删除' : `还剩 ${count} 天`),
  held: '处于法律保留中',
  deleted: (when) => `删除于 ${when}`,
  restore: '恢复',
  restored: '已恢复。',
  undo: '撤销',
  moved: '已移入回收站。',
  purge: '永久删除',
  purgeTitle: '永久删除此对话？',
  purgeText: (title) => `“${title}”及其全部消息将无法再恢复。`,
  emptyAll: '清空回收站',
  emptyTitle: '清空回收站？',
  emptyText: '其中的所有对话将被永久删除。',
  more: '更多',
};
