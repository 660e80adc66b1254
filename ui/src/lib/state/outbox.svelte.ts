import { newId, Refused, refusalOf, sentence, Unreachable, type FilePart } from '#lib/api/client';
import { delay, pause } from '#lib/api/waiting';
import { ownRequest } from '#lib/live/frames';
import { dropEntry, readOutbox, writeEntry, type Entry } from '#lib/store/database';
import { session } from './session.svelte';

/** Where a conversation is meant that does not exist yet. */
export const NEW = 'new';
// The service remembers a key for a day.
const FRESH_MILLISECONDS = 20 * 3600 * 1000;

interface Wanted {
  conversation: string;
  content: string;
  /** What the message shows beside its words. */
  files?: FilePart[];
  agentId?: string | null;
  withTools?: boolean;
  /** Nobody is asked to answer, as by a guest. */
  isPlain?: boolean;
}

type Receiver = (entry: Entry, response: Response) => Promise<void> | void;

/** Whether it is sent again by itself; not what waits until tomorrow. */
function isLater({ code, isPassing }: Refused): boolean {
  const isForToday = code === 'daily_limit_reached';
  return code === 'reply_in_progress' || (isPassing && !code.startsWith('model_') && !isForToday);
}

/** Messages on their way: kept before the first try, and sent until the service has taken them. */
class Outbox {
  entries = $state.raw<Entry[]>([]);
  /** The connection is gone, as far as the last tries tell. */
  isOffline = $state(false);
  /** The answers that new conversations began with, until these are opened. */
  readonly begun = new Map<string, string>();
  #receivers = new Map<string, Receiver>();
  #sending = new Set<string>();

  of(conversation: string): Entry[] {
    return this.entries.filter((entry) => entry.conversation === conversation);
  }

  /** Take up what an earlier page left. */
  async start(user: string): Promise<void> {
    const found = await readOutbox(user);
    const known = new Set(this.entries.map((entry) => entry.id));
    const isOld = (entry: Entry) => Date.now() - entry.at > FRESH_MILLISECONDS;
    const added = found
      .filter((entry) => !known.has(entry.id))
      .map((entry) => (isOld(entry) ? { ...entry, state: 'refused' as const } : entry));
    this.entries = [...this.entries, ...added].sort((a, b) => a.at - b.at);
    for (const entry of this.entries) void this.#deliver(entry.id);
  }

  /** Let somebody take the answers of a conversation's messages; returns how to stop that. */
  receive(conversation: string, receiver: Receiver): () => void {
    this.#receivers.set(conversation, receiver);
    return () => {
      if (this.#receivers.get(conversation) === receiver) this.#receivers.delete(conversation);
    };
  }

  async send(wanted: Wanted): Promise<void> {
    const entry = this.#entry(wanted);
    this.entries = [...this.entries, entry];
    await writeEntry(entry);
    void this.#deliver(entry.id);
  }

  async again(id: string): Promise<void> {
    const entry = this.#find(id);
    if (!entry) return;
    // What was refused was not remembered, so the key can stay.
    await this.#change(id, { state: 'queued', reason: '', at: Date.now() });
    void this.#deliver(id);
  }

  async discard(id: string): Promise<void> {
    this.entries = this.entries.filter((entry) => entry.id !== id);
    await dropEntry(id);
  }

  /** Go on, as after signing in again. */
  resume(): void {
    for (const entry of this.entries) void this.#deliver(entry.id);
  }

  #entry({ conversation, content, files = [], agentId, withTools, isPlain }: Wanted): Entry {
    const id = newId();
    const answers = !isPlain && (session.config?.model_configured ?? false);
    const shown = content ? [{ type: 'text', text: content }, ...files] : files;
    const said = { id, role: 'user', content, ...(files.length ? { parts: shown } : {}) };
    const isNew = conversation === NEW;
    const fields = {
      ...(agentId ? { agent_id: agentId } : {}),
      ...(withTools ? { mcp_enabled: true } : {}),
    };
    const body = isNew
      ? { ...fields, ...(answers ? { initial_message: content } : { messages: [said] }) }
      : answers
        ? {
            id,
            content,
            ...(agentId ? { agent_id: agentId } : {}),
            ...(files.length ? { files } : {}),
          }
        : said;
    const path = isNew
      ? '/conversations'
      : `/conversations/${conversation}/${answers ? 'replies' : 'messages'}`;
    return {
      id,
      user: session.user?.id ?? '',
      conversation,
      path,
      body: JSON.stringify(body),
      key: newId(),
      content,
      at: Date.now(),
      state: 'queued',
      reason: '',
    };
  }

  #find(id: string): Entry | undefined {
    return this.entries.find((entry) => entry.id === id);
  }

  async #change(id: string, changes: Partial<Entry>): Promise<void> {
    this.entries = this.entries.map((entry) =>
      entry.id === id ? { ...entry, ...changes } : entry,
    );
    const changed = this.#find(id);
    if (changed) await writeEntry(changed);
  }

  /** Send one until it is taken or refused; messages of one conversation go one after the other. */
  async #deliver(id: string): Promise<void> {
    const entry = this.#find(id);
    if (entry?.state !== 'queued' || this.#sending.has(entry.conversation)) return;
    this.#sending.add(entry.conversation);
    try {
      for (let tries = 0; this.#find(id)?.state === 'queued' && !session.hasExpired; tries++) {
        if (await this.#attempt(entry)) break;
        await pause(delay(tries));
      }
    } finally {
      this.#sending.delete(entry.conversation);
    }
    const next = this.of(entry.conversation).find((each) => each.state === 'queued');
    if (next && next.id !== id) void this.#deliver(next.id);
  }

  /** Try once; whether there is nothing more to try. */
  async #attempt(entry: Entry): Promise<boolean> {
    try {
      const response = await fetch(entry.path, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'Idempotency-Key': entry.key,
          ...ownRequest(),
          Accept: entry.path.endsWith('/replies') ? 'text/event-stream' : 'application/json',
          ...(entry.path.endsWith('/messages') ? { Prefer: 'return=minimal' } : {}),
        },
        body: entry.body,
      });
      if (!response.ok) throw await refusalOf(response);
      this.isOffline = false;
      await this.#hand(entry, response);
      return true;
    } catch (error) {
      return this.#failed(entry, error);
    }
  }

  async #hand(entry: Entry, response: Response): Promise<void> {
    const receiver = this.#receivers.get(entry.conversation);
    await dropEntry(entry.id);
    try {
      if (receiver) await receiver(entry, response);
      else await response.body?.cancel();
    } finally {
      this.entries = this.entries.filter((each) => each.id !== entry.id);
    }
  }

  async #failed(entry: Entry, error: unknown): Promise<boolean> {
    const isNetwork = error instanceof TypeError || error instanceof Unreachable;
    this.isOffline = isNetwork;
    if (isNetwork) return false;
    if (error instanceof Refused) {
      if (error.code === 'authentication_required') return true;
      if (isLater(error)) {
        // A limit that is met is said while the message waits.
        if (error.status === 429) await this.#change(entry.id, { reason: sentence(error) });
        await pause(error.retryAfter * 1000);
        return false;
      }
    }
    await this.#change(entry.id, { state: 'refused', reason: sentence(error) });
    return true;
  }
}

export const outbox = new Outbox();
