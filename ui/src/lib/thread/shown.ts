import type { Message } from '#lib/api/client';
import { partsOf } from '#lib/held/parts';

/** Whether a message has words to show: hidden ones and bare steps of tools have none. */
export function isShown(message: Message): boolean {
  if (message.hidden === true || message.role === 'tool') return false;
  return Boolean(message.content) || !Array.isArray(message.parts);
}

/** Whether the thread shows a message: what it has beside words counts, too. */
export function isInThread(message: Message, showsHidden: boolean): boolean {
  if (message.hidden === true && !showsHidden) return false;
  if (message.unreadable === true) return true;
  const isBare = message.role === 'tool' || Array.isArray(message.parts);
  return Boolean(message.content) || !isBare || partsOf(message).length > 0;
}

/** How many hidden messages follow one another from a place on; 0 where another one comes before. */
export function hiddenFrom(messages: Message[], at: number): number {
  if (messages[at]?.hidden !== true || messages[at - 1]?.hidden === true) return 0;
  const end = messages.findIndex((each, index) => index > at && each.hidden !== true);
  return (end < 0 ? messages.length : end) - at;
}
