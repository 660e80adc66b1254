import type { inNotes as English } from '../notes';

export const inNotes: typeof English = {
  title: '备注',
  about: (words) => `“${words}”的备注`,
  text: '所有可访问的人都能看到。不会发送给任何模型。',
  write: '写备注',
  open: (count) => `${count} 条备注`,
  new: '新备注',
  add: '添加备注',
  none: '还没有备注。',
  edit: (when) => `编辑 ${when} 的备注`,
  delete: (who, when) => `删除 ${who} 于 ${when} 的备注`,
  changed: '备注内容',
  edited: '已编辑',
  by: (who, when) => `${who}，${when}`,
  close: '关闭备注',
  deleteTitle: '删除这条备注？',
  deleteText: '它将被永久删除。',
  added: '已添加备注。',
  deleted: '已删除备注。',
};
