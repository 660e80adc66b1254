import type { Message } from '#lib/api/client';

/** Messages that are read at once. */
export const PAGE = 40;
/** Messages that are shown at most, however long the conversation is. */
export const MOST = 120;

/** Drop what is furthest from where somebody reads. */
export function withoutFar(messages: Message[], side: 'older' | 'newer'): Message[] {
  if (messages.length <= MOST) return messages;
  return side === 'newer' ? messages.slice(0, MOST) : messages.slice(-MOST);
}

/**
 * The messages with one more, or with one as it is now.
 *
 * @param hasGap - there are newer messages that are not shown; the new one stands behind them.
 */
export function inserted(messages: Message[], message: Message, hasGap: boolean): Message[] {
  const at = messages.findIndex((each) => each.id === message.id || each.seq === message.seq);
  if (at >= 0) return messages.with(at, message);
  const after = messages.findIndex((each) => each.seq > message.seq);
  if (after >= 0) return messages.toSpliced(after, 0, message);
  return hasGap ? messages : [...messages, message];
}
