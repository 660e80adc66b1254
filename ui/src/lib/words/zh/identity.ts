import type { identity as English } from '../identity';

export const identity: typeof English = {
  signInWith: (name) => `使用 ${name} 登录`,
  or: '或',
  linkWith: (name) => `关联 ${name}`,
  linkText: (name) => `之后你也可以使用 ${name} 登录。`,
  linkedText: (name) => `你可以使用 ${name} 登录。`,
  unlink: '取消关联',
  unlinked: '已取消关联。',
  problems: {
    sign_in_expired: '用时过长，或登录是在另一个浏览器中开始的。请重新登录。',
    sign_in_refused: '对方未让你登录。',
    invalid_identity: '返回的信息无法证明你的身份。请重新登录。',
    identity_provider_unavailable: '暂时无法连接身份提供方，请稍后重试。',
    email_in_use: '已有账号使用你的邮箱：请登录该账号，并在其设置中进行关联。',
    identity_in_use: '该身份属于另一个账号。',
    already_linked: '你的账号已经关联。',
    registration_closed: '你在这里没有账号，请联系运维人员。',
    invalid_credentials: '你的账号已关闭。',
  },
  reset: {
    title: '设置新密码',
    text: '此链接由管理员提供，只能使用一次。',
    password: '新密码',
    set: '设置密码',
    done: '密码已设置',
    doneText: '你已在所有设备上退出登录。请使用新密码登录。',
  },
  failed: '登录失败。',
};
