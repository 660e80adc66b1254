import type { Message } from '#lib/api/client';

/** Whether there is anything of a message to show: hidden ones and bare steps of tools have nothing. */
export function isShown(message: Message): boolean {
  if (message.hidden === true || message.role === 'tool') return false;
  return Boolean(message.content) || !Array.isArray(message.parts);
}
