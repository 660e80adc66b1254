import type { inThread as English } from '../thread';

export const inThread: typeof English = {
  branches: {
    label: '分支',
    place: (now, all) => `${now} / ${all}`,
    spoken: (now, all) => `第 ${now} 个分支，共 ${all} 个`,
    earlier: '上一个分支',
    later: '下一个分支',
    other: '显示另一个分支',
    shown: (now, all) => `正在显示第 ${now} 个分支，共 ${all} 个。`,
    gone: '此分支的消息已被删除。',
    underWay: '有回答正在生成，或在等待你的决定。请等待其完成或将其停止，然后再选择其他分支。',
    ask: '重新提问',
    askText: '原来的问题及其回答会保留在旁边。',
  },

  gone: '此对话已在别处删除。',
  goTo: {
    number: '消息序号',
    of: (_count, shown) => `共有 ${shown} 条。`,
    goDay: '跳到该日',
    goNumber: '跳到该消息',
    gone: '此分支上没有这条消息。',
    outline: '你的消息',
    outlineText: '显示每条消息的开头；选择一条即可跳转。',
    here: '从这里开始',
    all: '从头开始',
    none: '你在这里没有写过消息。',
    wordless: '无文字',
  },
  role: { tool: '工具' },
  unreadable: '此消息无法读取：所保存的内容无法解密。你可以将其删除。',
  hidden: {
    show: (count) => `显示 ${count} 条隐藏消息`,
    hide: '隐藏这些消息',
    badge: '已隐藏',
  },
  time: {
    mark: '≈',
    sources: {
      neighbour: '时间取自相邻的消息。',
      conversation: '时间取自该对话。',
      import: '时间为导入时间。',
    },
  },

  parts: {
    thoughts: '思考过程',
    thoughtsFor: (seconds) => `思考过程，${seconds} 秒`,
    call: (tool) => `使用了 ${tool}`,
    resultOf: (tool) => `${tool} 的结果`,
    result: '结果',
    input: '参数',
    failed: '失败',
    sources: '来源',
    source: '来源',
    raw: (type) => `按原样保留：${type}`,
    transcript: '文字记录',
    text: '文件中的文字',
  },

  files: {
    label: (name) => `文件 ${name}`,
    unnamed: '文件',
    download: (name) => `下载 ${name}`,
    states: {
      absent: '不在此处：导入时未包含其内容。',
      expired: '不在此处：其来源已不再保留。',
      unknown: '不在此处。',
    },
    picture: (name) => `图片 ${name}`,
  },
};
