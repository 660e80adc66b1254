import type { inComposer as English } from '../composer';

export const inComposer: typeof English = {
  files: {
    choose: '添加文件',
    label: '待发送的文件',
    unnamed: '文件',
    remove: (name) => `移除 ${name}`,
    sending: (name) => `正在发送 ${name}`,
    stop: '停止发送文件',
    drop: '拖放文件以添加',
    unread: '文件会与消息一起保存，但助手不会读取它们。',
    needsWords: '请输入消息，以便一起发送。',
    tooLarge: (name, most) => `${name} 超过 ${most} MB。`,
    tooMany: (most) => `一条消息最多显示 ${most} 个文件。`,
  },
};
