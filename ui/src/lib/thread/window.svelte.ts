import type { Message } from '#lib/api/client';
import { Attachments } from '#lib/held/attachments.svelte';
import { Notes } from '#lib/notes/notes.svelte';
import { Branches } from './branches.svelte';
import type { Calls } from './calls';
import { inserted, MOST, reread, withoutFar } from './window';

const nothing = () => undefined;

/** The messages of a conversation that are shown: a part of the branch that is chosen. */
export class MessageWindow {
  readonly id: string;
  /** A run of the branch's messages without gaps, oldest first. */
  messages = $state.raw<Message[]>([]);
  hasOlder = $state(false);
  hasNewer = $state(false);
  /** Whether hidden messages are shown, too. */
  showsHidden = $state(false);
  /** The message that was gone to, and is marked. */
  target = $state.raw<{ seq: number; takesFocus: boolean } | null>(null);
  readonly branches = new Branches();
  readonly attachments: Attachments;
  readonly notes: Notes;
  protected readonly calls: Calls;
  /** Ids of the messages that somebody edits here. */
  #held: readonly string[] = [];

  constructor(id: string, calls: Calls) {
    this.id = id;
    this.calls = calls;
    this.attachments = new Attachments(id);
    this.notes = new Notes(id);
  }

  async toNewest(): Promise<void> {
    const page = await this.calls.page({ before: 'latest' });
    this.messages = page.messages;
    this.hasOlder = page.hasMore;
    this.hasNewer = false;
  }

  async goTo(seq: number): Promise<void> {
    const page = await this.calls.page({ around: String(seq) });
    this.messages = page.messages;
    this.hasNewer = page.hasMore;
    this.hasOlder = (page.messages[0]?.seq ?? 0) > 0;
  }

  /** Go to a message and mark it; returns whether the branch that is shown has it. */
  async jump(seq: number, { takesFocus = true } = {}): Promise<boolean> {
    const isHere = () => this.messages.some((each) => each.seq === seq);
    if (!isHere()) await this.goTo(seq);
    const isFound = isHere();
    this.target = isFound ? { seq, takesFocus } : null;
    return isFound;
  }

  /** Go to the message with a number, from 1 on; returns whether there is one. */
  async goToNumber(number: number): Promise<boolean> {
    const [found] = (await this.calls.page({ offset: number - 1 }, 1)).messages;
    return found ? this.jump(found.seq) : false;
  }

  /** Show the branch with a message, and go to it; whoever calls reads the conversation again. */
  async showElsewhere(messageId: string, seq: number): Promise<void> {
    await this.calls.showBranch(messageId);
    await this.goTo(seq);
    await this.jump(seq, { takesFocus: false });
  }

  /** The first words of what the user asked, after a place. */
  outline(after: number | undefined): ReturnType<Calls['outline']> {
    return this.calls.outline(after);
  }

  /** Show what was written from a time on; returns the first of it, if there is any. */
  async goToTime(since: string): Promise<Message | undefined> {
    const page = await this.calls.page({ since });
    const first = page.messages[0];
    if (!first) return undefined;
    this.messages = page.messages;
    this.hasNewer = page.hasMore;
    this.hasOlder = first.seq > 0;
    return first;
  }

  /** Read the page before; returns what shows it. */
  async older(): Promise<() => void> {
    const first = this.messages[0];
    if (!first || !this.hasOlder) return nothing;
    const page = await this.calls.page({ before: String(first.seq) });
    return () => {
      if (this.messages[0] !== first) return;
      const all = [...page.messages, ...this.messages];
      this.hasOlder = page.hasMore;
      if (all.length > MOST) this.hasNewer = true;
      this.messages = withoutFar(all, 'newer');
    };
  }

  /** The same of the page after. */
  async newer(): Promise<() => void> {
    const last = this.messages.at(-1);
    if (!last || !this.hasNewer) return nothing;
    const page = await this.calls.page({ after: String(last.seq) });
    return () => {
      if (this.messages.at(-1) !== last) return;
      const all = [...this.messages, ...page.messages];
      this.hasNewer = page.hasMore;
      if (all.length > MOST) this.hasOlder = true;
      this.messages = withoutFar(all, 'older');
    };
  }

  /** Keep a message where it is while somebody edits it; returns how to stop that. */
  hold(id: string): () => void {
    this.#held = [...this.#held, id];
    return () => {
      this.#held = this.#held.filter((each) => each !== id);
    };
  }

  /**
   * Read what is shown once more, with what follows; another branch may be shown now.
   *
   * @returns what shows it; nothing where what is shown changed meanwhile.
   */
  protected async again(): Promise<(() => void) | undefined> {
    const shown = this.messages;
    const first = shown[0];
    const limit = this.hasNewer ? shown.length : MOST;
    const page = first ? await this.calls.page({ after: String(first.seq - 1) }, limit) : undefined;
    const newest = page?.messages.length ? undefined : await this.calls.page({ before: 'latest' });
    if (this.messages !== shown) return undefined;
    return () => {
      this.messages = reread(shown, (newest ?? page)?.messages ?? [], this.#held);
      this.hasNewer = newest ? false : (page?.hasMore ?? false);
      if (newest) this.hasOlder = newest.hasMore;
    };
  }

  /** The id of the message that one follows, or null. */
  protected async before(message: Message): Promise<string | null> {
    const fork = this.branches.of(message)?.fork;
    if (fork) return fork.parent_id;
    const at = this.messages.findIndex((each) => each.id === message.id);
    const near = this.messages[at - 1];
    if (near) return near.id;
    const page = await this.calls.page({ before: String(message.seq) }, 1);
    return page.messages.at(-1)?.id ?? null;
  }

  /**
   * Show a message as it is now, in its place.
   *
   * @param beside - the answer that it stands beside, on the branch that was shown before.
   */
  protected put(message: Message, beside?: string): void {
    if (beside !== undefined) this.branches.isStale = true;
    const before = this.messages.filter((each) => each.id !== beside || each.id === message.id);
    const all = inserted(before, message, this.hasNewer);
    if (all.length > MOST) this.hasOlder = true;
    this.messages = withoutFar(all, 'older');
  }
}
