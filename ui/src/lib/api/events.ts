import { createParser } from 'eventsource-parser';
import { refusalOf, Unreachable } from './client';
import { delay, pause, seen, WhileSeen } from './waiting';

/** One event of a reply. */
export interface ReplyEvent {
  id: number;
  type: string;
  data: Record<string, unknown>;
}

/**
 * Read the events of one answer, until the stream ends or breaks off.
 *
 * @param signal - aborted, it gives the connection back.
 */
export async function read(
  response: Response,
  take: (event: ReplyEvent) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (!response.body) throw new Unreachable();
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      take({
        id: Number(id ?? 0),
        type: event ?? '',
        data: JSON.parse(data) as ReplyEvent['data'],
      });
    },
  });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  signal?.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
  }
}

interface FollowingStream {
  address: string;
  /** The last event that is known. */
  after: number;
  signal: AbortSignal;
  take: (event: ReplyEvent) => void;
  /** Whether the connection is there. */
  connected: (isConnected: boolean) => void;
  isLast: (event: ReplyEvent) => boolean;
}

/**
 * Follow a stream of events to its last one, however often the connection breaks.
 *
 * A hidden page closes its stream, and takes it up where it was when it is seen again.
 */
export async function followStream(options: FollowingStream): Promise<void> {
  const { address, signal } = options;
  let after = options.after;
  let tries = 0;
  while (!signal.aborted) {
    await seen(signal);
    const looking = new WhileSeen(signal);
    try {
      const response = await fetch(address, {
        headers: { Accept: 'text/event-stream', 'Last-Event-ID': String(after) },
        signal: looking.signal,
      });
      if (!response.ok) {
        const refused = await refusalOf(response);
        if (!refused.isPassing) throw refused;
        throw new Unreachable();
      }
      options.connected(true);
      let ended = false;
      await read(response, (event) => {
        tries = 0;
        after = event.id || after;
        ended ||= options.isLast(event);
        options.take(event);
      });
      if (ended) return;
    } catch (error) {
      if (signal.aborted) return;
      if (looking.signal.aborted) continue;
      if (!(error instanceof Unreachable || error instanceof TypeError)) throw error;
    } finally {
      looking.release();
    }
    options.connected(false);
    await pause(delay(tries++), signal);
  }
}

interface Following extends Omit<FollowingStream, 'address' | 'isLast'> {
  conversationId: string;
  replyId: string;
}

/** Follow a reply to its end. */
export function follow({ conversationId, replyId, ...options }: Following): Promise<void> {
  return followStream({
    ...options,
    address: `/conversations/${conversationId}/replies/${replyId}/events`,
    isLast: (event) => event.type === 'completed' || event.type === 'error',
  });
}
