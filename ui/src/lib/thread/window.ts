import type { Message } from '#lib/api/client';

/** Messages that are read at once. */
export const PAGE = 40;
/** Messages that are shown at most, however long the conversation is. */
export const MOST = 120;

/**
 * The messages as they were read, those that did not change as they were.
 *
 * @param held - ids of messages that stay, as somebody works on them.
 */
export function reread(before: Message[], now: Message[], held: readonly string[]): Message[] {
  const known = new Map(before.map((each) => [each.id, each]));
  const isSame = (one: Message | undefined, other: Message) =>
    one !== undefined && JSON.stringify(one) === JSON.stringify(other);
  const all = now.map((each) => {
    const mine = known.get(each.id);
    return mine && isSame(mine, each) ? mine : each;
  });
  const ids = new Set(all.map((each) => each.id));
  const kept = before.filter((each) => held.includes(each.id) && !ids.has(each.id));
  return kept.length ? [...all, ...kept].sort((a, b) => a.seq - b.seq) : all;
}

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
