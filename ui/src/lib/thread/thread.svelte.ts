import {
  Refused,
  refusalOf,
  sentence,
  type Command,
  type Message,
  type Revision,
  type Summary,
} from '#lib/api/client';
import { follow, read, type ReplyEvent } from '#lib/api/events';
import { WhileSeen } from '#lib/api/waiting';
import { hasGap, isBeside, isDeletion, isNewer, isOfNotes, type Frame } from '#lib/live/frames';
import { gathered } from '#lib/live/gathered';
import { live as events } from '#lib/live/live';
import { conversations } from '#lib/state/conversations.svelte';
import { people, type Rights } from '#lib/sharing/people.svelte';
import { outbox } from '#lib/state/outbox.svelte';
import type { Entry } from '#lib/store/database';
import { Announcer } from './announcer.svelte';
import { lookAgain, readBeside } from './beside';
import { Calls } from './calls';
import { failureOf, LiveReply } from './live.svelte';
import { MessageWindow } from './window.svelte';
import { MOST, withoutFar } from './window';

// Milliseconds from one reading of what changed elsewhere to the next.
const REST = 50;

/** One conversation as it is shown: a window of its messages, and the answer that comes now. */
export class Thread extends MessageWindow {
  conversation = $state.raw<Summary | null>(null);
  isLoading = $state(true);
  failure = $state('');
  isMissing = $state(false);
  /** It was deleted elsewhere while it is shown. */
  isGone = $state(false);
  live = $state.raw<LiveReply | null>(null);
  /** How the last answer failed. */
  trouble = $state('');
  /** Says to screen readers what comes. */
  readonly announcer = new Announcer();
  readonly #closing: AbortController;
  #stopReceiving: () => void;
  readonly #refreshSoon: () => void;
  /** Something changed elsewhere while an answer comes here. */
  #isBehind = false;
  /** Calls under way that show what they do themselves. */
  #asking = 0;

  constructor(id: string) {
    const closing = new AbortController();
    super(id, new Calls(id, closing.signal));
    this.#closing = closing;
    this.#stopReceiving = outbox.receive(id, (entry, response) => this.#taken(entry, response));
    this.#refreshSoon = gathered(() => this.refresh(), REST, closing.signal);
    closing.signal.addEventListener('abort', events.on(this.#heed));
  }

  close(): void {
    this.#stopReceiving();
    this.announcer.stop();
    this.#closing.abort();
  }

  /** What whoever looks may do here. */
  get rights(): Rights {
    return people.rightsIn(this.conversation);
  }

  get lastAnswer(): Message | undefined {
    const last = this.hasNewer ? undefined : this.messages.at(-1);
    return last?.role === 'assistant' ? last : undefined;
  }

  /** Open at the newest messages, or around one of them. */
  async open(seq?: number): Promise<void> {
    this.isLoading = true;
    this.failure = '';
    // It may have failed before this is open, and the list may know that; its events tell why.
    const begun = outbox.begun.get(this.id) ?? conversations.find(this.id)?.active_reply_id;
    outbox.begun.delete(this.id);
    try {
      const [conversation] = await Promise.all([
        conversations.read(this.id),
        seq === undefined ? this.toNewest() : this.jump(seq),
      ]);
      await readBeside(this, conversation);
      this.conversation = conversation;
      const needsAnswer = this.messages.at(-1)?.role === 'user' && seq === undefined;
      const replyId =
        conversation.active_reply_id ?? (needsAnswer ? begun : await this.#waitingReply());
      if (replyId) this.#follow(replyId);
    } catch (error) {
      this.isMissing = error instanceof Refused && error.status === 404;
      this.failure = sentence(error);
    } finally {
      this.isLoading = false;
    }
    if (this.#isBehind) this.#refreshSoon();
  }

  /** Show what a frame tells of, unless this tab did it. */
  #heed = (frame: Frame) => {
    const known = { id: this.id, version: this.conversation?.version };
    if (isOfNotes(frame, this.id)) this.notes.read().catch(() => undefined);
    if (frame.conversation_id === this.id && isBeside(frame)) void lookAgain(this);
    else if (isNewer(frame, known) && isDeletion(frame)) this.isGone = true;
    else if (!hasGap(frame) && !isNewer(frame, known)) return;
    else if (!this.live || frame.reply_id !== this.live.replyId) this.#refreshSoon();
  };

  get #isBusy(): boolean {
    return this.isLoading || this.live !== null || this.#asking > 0;
  }

  /** Read again what may have changed elsewhere; while an answer comes here, after it. */
  async refresh(): Promise<void> {
    this.#isBehind = this.#isBusy;
    if (this.#isBehind || this.failure) return;
    try {
      const [conversation, show] = await Promise.all([conversations.read(this.id), this.again()]);
      this.#isBehind = this.#isBusy || show === undefined;
      if (this.#isBusy) return;
      show?.();
      this.conversation = conversation;
    } catch (error) {
      this.isGone = error instanceof Refused && error.status === 404;
      throw error;
    }
    if (this.conversation.active_reply_id) this.#follow(this.conversation.active_reply_id);
    else if (this.#isBehind) this.#refreshSoon();
  }

  /** The service has the message; its answer follows. */
  async #taken(_entry: Entry, response: Response): Promise<void> {
    this.trouble = '';
    if (this.hasNewer) await this.toNewest();
    if (response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      await new Promise<void>((stored) => {
        void this.#stream(response, stored);
      });
    } else {
      const { message } = (await response.json()) as { message: Message };
      this.put(message);
      this.conversation = await conversations.read(this.id);
    }
  }

  /** Read the answer to a request, and go on by its events where that breaks off. */
  async #stream(response: Response, stored: () => void): Promise<void> {
    const live = new LiveReply('', this.announcer);
    this.live = live;
    const looking = new WhileSeen(this.#closing.signal);
    try {
      const take = (event: ReplyEvent) => {
        this.#take(live, event);
        if (event.type === 'message_stored') stored();
      };
      await read(response, take, looking.signal).catch(() => undefined);
      stored();
      if (!live.hasEnded && live.replyId) await this.#followOn(live);
      else if (!live.replyId) await this.#afterwards(live);
    } catch (error) {
      this.#fail(live, error);
    } finally {
      looking.release();
    }
  }

  #follow(replyId: string): void {
    if (this.live) return;
    const live = new LiveReply(replyId, this.announcer);
    this.live = live;
    this.#followOn(live).catch((error: unknown) => {
      this.#fail(live, error);
    });
  }

  async #followOn(live: LiveReply): Promise<void> {
    await follow({
      conversationId: this.id,
      replyId: live.replyId,
      after: live.lastEvent,
      signal: this.#closing.signal,
      take: (event) => this.#take(live, event),
      connected: (isConnected) => {
        live.isConnected = isConnected;
      },
    });
  }

  #take(live: LiveReply, event: ReplyEvent): void {
    // Another stream of the same answer may have taken its place.
    if (this.#closing.signal.aborted || this.live !== live) return;
    live.lastEvent = event.id || live.lastEvent;
    const message = event.data.message as Message | null | undefined;
    switch (event.type) {
      case 'message_stored':
        live.replyId = String(event.data.reply_id);
        if (message) this.put(message);
        break;
      case 'delta':
        live.add(String(event.data.text));
        break;
      case 'thinking':
        live.think(String(event.data.text));
        break;
      case 'tool_call':
        live.addCall(String(event.data.name));
        break;
      case 'waiting':
        live.wait();
        if (message) this.put(message, live.replaces);
        void this.#readConversation();
        break;
      case 'commands_settled':
        if (message) this.put(message);
        live.goOn();
        break;
      case 'completed':
        if (message) this.put(message, live.replaces);
        void this.#afterwards(live);
        break;
      case 'error':
        if (message) this.put(message, live.replaces);
        this.#fail(live, failureOf(event));
        break;
    }
  }

  async #afterwards(live: LiveReply): Promise<void> {
    live.end();
    if (this.live === live) this.live = null;
    await this.#readConversation();
    if (this.#isBehind) this.#refreshSoon();
  }

  async #readConversation(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    try {
      this.conversation = await conversations.read(this.id);
    } catch {
      // The thread stands as it is; the next change reads it again.
    }
  }

  #fail(live: LiveReply, error: unknown): void {
    if (this.live !== live) return;
    this.trouble = sentence(error);
    void this.#afterwards(live);
  }

  async stop(): Promise<void> {
    const live = this.live;
    if (!live?.replyId) return;
    live.isStopping = true;
    await this.calls.cancel(live.replyId);
  }

  /** Ask for another answer, on a branch of its own beside the last one. */
  regenerate(): Promise<void> {
    return this.#ask(() => this.#regenerate());
  }

  async #regenerate(): Promise<void> {
    this.trouble = '';
    const response = await this.calls.regenerate();
    if (!response.ok) throw await refusalOf(response);
    const replaced = this.lastAnswer?.id;
    const streaming = this.#stream(response, () => undefined);
    if (this.live) this.live.replaces = replaced;
    await streaming;
    // Answers that older versions put one after the other leave the branch together.
    if (replaced && !this.hasNewer) await this.toNewest();
  }

  /**
   * Show the branch with a message in place of the one that is shown.
   *
   * @returns what shows it.
   */
  async showBranch(parentSeq: number, messageId: string): Promise<() => void> {
    await this.calls.showBranch(messageId);
    const page = await this.calls.page({ after: String(parentSeq) });
    const conversation = await conversations.read(this.id);
    await this.branches.read(conversation, parentSeq);
    return () => {
      const before = this.messages.filter((each) => each.seq <= parentSeq);
      const all = [...before, ...page.messages];
      this.trouble = '';
      this.conversation = conversation;
      this.hasNewer = page.hasMore;
      if (all.length > MOST) this.hasOlder = true;
      this.messages = withoutFar(all, 'older');
    };
  }

  /** Ask a question of one's own with other words; as it was it stays on its branch. */
  askAgain(message: Message, content: string): Promise<void> {
    return this.#ask(() => this.#askAgain(message, content));
  }

  async #askAgain(message: Message, content: string): Promise<void> {
    this.trouble = '';
    const asked = await this.calls.askAfter(await this.before(message), content);
    this.branches.isStale = true;
    this.messages = [...this.messages.filter((each) => each.seq < message.seq), asked];
    this.hasNewer = false;
    await this.#readConversation();
    await this.#regenerate();
  }

  /** Leave what changes elsewhere for after a call that is shown step by step. */
  async #ask(work: () => Promise<void>): Promise<void> {
    this.#asking += 1;
    try {
      await work();
    } finally {
      this.#asking -= 1;
      if (this.#isBehind) this.#refreshSoon();
    }
  }

  /** Change a message's words; the error is a 412 where it changed meanwhile. */
  async edit(message: Message, content: string): Promise<void> {
    this.put(await this.calls.edit(message, content));
    void this.#readConversation();
  }

  /** What the service has of a message now. */
  async reread(message: Message): Promise<Message> {
    const found = await this.calls.read(message);
    this.put(found);
    return found;
  }

  async delete(message: Message): Promise<void> {
    await this.calls.delete(message);
    this.messages = this.messages.filter((each) => each.id !== message.id);
    void this.#readConversation();
  }

  revisions(message: Message): Promise<Revision[]> {
    return this.calls.revisions(message);
  }

  /** Approve or reject what a model wants done; the stream shows what comes of it. */
  async decide(message: Message, command: Command, approve: boolean): Promise<void> {
    const replyId = await this.calls.decide(command, approve);
    await this.reread(message);
    if (replyId) this.#follow(replyId);
  }

  async #waitingReply(): Promise<string | null> {
    const last = this.lastAnswer;
    const isPending = last?.commands?.some((each) => each.status === 'pending') ?? false;
    return last && isPending ? this.calls.waitingReply(last) : null;
  }
}
