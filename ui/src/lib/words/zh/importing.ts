import type { importing as English } from '../importing';

export const importing: typeof English = {
  uploading: '正在上传。完成之前请保持此页面打开；连接中断后会自动续传。',
  uploaded: (done, all) => `已上传 ${done} / ${all}`,
  waiting: '正在排队…',
  reading: (done, all) => `正在读取：${done} / ${all}`,
  storing: (done, all) => `正在保存：${done} / ${all} 个对话`,
  looking: (done, all) => `正在比较：${done} / ${all} 个对话`,
  mayLeave: '离开此页面后导入仍会继续；回来时可以在这里看到它。',
  broken: '连接已中断，正在恢复。',
  names: (names) =>
    names.length > 4
      ? `${names.slice(0, 3).join('、')}等 ${names.length} 个文件`
      : names.join('、'),
  cancelled: '导入已取消。此前导入的内容会保留，且每个对话都是完整的。',
  nothing: '没有导入任何内容：全部已存在或被略过。',
  failed: '导入失败。',
  found: '找到',
  updated: '已更新',
  replaced: '已替换',
  copied: '已复制',
  deletedHere: '已在此删除',
  diverged: '已在此更改',
  formats: '识别出的格式',
  unknown: '无法理解、按原样保留的内容',
  earlier: '后台导入',
  states: {
    queued: '等待中',
    running: '进行中',
    completed: '已完成',
    nothing_imported: '未导入任何内容',
    cancelled: '已取消',
    failed: '失败',
  },
  show: '显示',
  options: '选项',
  duplicates: '以前导入过的内容',
  onDuplicate: {
    skip: '保持不变',
    update: '在末尾添加新消息',
    replace: '用文件中的内容替换',
    copy: '另外再导入一份',
  },
  restore: '同时导入你在此删除过的内容',
};
