import {
  answered,
  api,
  newId,
  ok,
  type Command,
  type Heading,
  type Message,
  type Revision,
} from '#lib/api/client';
import { ownRequest } from '#lib/live/frames';
import { PAGE } from './window';

// Headings of an outline that are read at once.
const OUTLINE = 200;

export interface Page {
  messages: Message[];
  hasMore: boolean;
}

/** A message's ETag: its place and its version. */
function tagOf(message: Message): string {
  return `"${message.seq}.${message.version ?? 1}"`;
}

/** What is asked of the service about one conversation's messages. */
export class Calls {
  readonly #id: string;
  readonly #signal: AbortSignal;

  constructor(id: string, signal: AbortSignal) {
    this.#id = id;
    this.#signal = signal;
  }

  async page(
    where: { before?: string; after?: string; since?: string; around?: string; offset?: number },
    limit = PAGE,
  ): Promise<Page> {
    const params = { path: { conversation_id: this.#id }, query: { ...where, limit } };
    const found = await ok(
      api.GET('/conversations/{conversation_id}/messages', {
        params: params as never,
        signal: this.#signal,
      }),
    );
    // The other media type of this address is a stream of lines.
    if (typeof found === 'string') return { messages: [], hasMore: false };
    return { messages: found.messages, hasMore: found.pagination.hasMore };
  }

  /** The first words of what the user asked, after a place; `null` where there is no more. */
  async outline(after: number | undefined): Promise<{ headings: Heading[]; next: number | null }> {
    const { data, response } = await answered(
      api.GET('/conversations/{conversation_id}/messages/outline', {
        params: {
          path: { conversation_id: this.#id },
          query: { limit: OUTLINE, ...(after === undefined ? {} : { after: String(after) }) },
        } as never,
        signal: this.#signal,
      }),
    );
    const next = /[?&]after=(\d+)/.exec(response.headers.get('Link') ?? '')?.[1];
    const found = data as { messages: Heading[]; hasMore: boolean };
    return { headings: found.messages, next: found.hasMore && next ? Number(next) : null };
  }

  read(message: Message): Promise<Message> {
    return ok(
      api.GET('/conversations/{conversation_id}/messages/{message_id}', {
        params: { path: this.#pathOf(message) },
      }),
    );
  }

  edit(message: Message, content: string): Promise<Message> {
    return ok(
      api.PATCH('/conversations/{conversation_id}/messages/{message_id}', {
        params: {
          path: this.#pathOf(message),
          header: { 'If-Match': tagOf(message) },
        },
        headers: ownRequest(),
        body: { content },
      }),
    );
  }

  async delete(message: Message): Promise<void> {
    await ok(
      api.DELETE('/conversations/{conversation_id}/messages/{message_id}', {
        params: { path: this.#pathOf(message) },
        headers: ownRequest(),
      }),
    );
  }

  revisions(message: Message): Promise<Revision[]> {
    return ok(
      api.GET('/conversations/{conversation_id}/messages/{message_id}/revisions', {
        params: { path: this.#pathOf(message) },
      }),
    );
  }

  async cancel(replyId: string): Promise<void> {
    const path = { conversation_id: this.#id, reply_id: replyId };
    await ok(
      api.POST('/conversations/{conversation_id}/replies/{reply_id}/cancel', { params: { path } }),
    );
  }

  /** Show the branch with a message, up to its end. */
  async showBranch(messageId: string): Promise<void> {
    await ok(
      api.PUT('/conversations/{conversation_id}/active-leaf', {
        params: { path: { conversation_id: this.#id } },
        headers: ownRequest(),
        body: { message_id: messageId },
      }),
    );
  }

  /** Store a question that follows a message, or none, and is shown from then on. */
  async askAfter(parentId: string | null, content: string): Promise<Message> {
    const { message } = (await ok(
      api.POST('/conversations/{conversation_id}/messages', {
        params: {
          path: { conversation_id: this.#id },
          header: { 'Idempotency-Key': newId(), Prefer: 'return=minimal' },
        } as never,
        headers: ownRequest(),
        body: { id: newId(), role: 'user', content, parent_id: parentId },
      }),
    )) as unknown as { message: Message };
    return message;
  }

  /** Ask for another answer to the last question, beside the one there is; the answer is a stream. */
  regenerate(): Promise<Response> {
    return fetch(`/conversations/${this.#id}/replies`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'Idempotency-Key': newId(),
        ...ownRequest(),
        Accept: 'text/event-stream',
      },
      body: JSON.stringify({ regenerate: 'branch' }),
    });
  }

  /** The reply that waits for a decision on a message's commands, if one does. */
  async waitingReply(message: Message): Promise<string | null> {
    const pending = await ok(
      api.GET('/conversations/{conversation_id}/commands', {
        params: { path: { conversation_id: this.#id }, query: { status: 'pending' } },
      }),
    );
    return pending.find((each) => each.message_id === message.id)?.reply_id ?? null;
  }

  /** Approve or reject a command; returns the reply that goes on with its result. */
  async decide(command: Command, approve: boolean): Promise<string | null> {
    const params = {
      path: { conversation_id: this.#id, command_id: command.id },
      header: { 'Idempotency-Key': newId(), ...(approve ? { Prefer: 'respond-async' } : {}) },
    };
    const path = '/conversations/{conversation_id}/commands/{command_id}' as const;
    const decided = await ok(
      approve
        ? api.POST(`${path}/approve`, { params: params as never, headers: ownRequest() })
        : api.POST(`${path}/reject`, { params: params as never, headers: ownRequest() }),
    );
    return decided.reply_id;
  }

  #pathOf(message: Message) {
    return { conversation_id: this.#id, message_id: message.id };
  }
}
