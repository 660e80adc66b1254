import { Refused, sentence, type Found } from '#lib/api/client';
import { pause } from '#lib/api/waiting';
import { hasGap, type Frame } from '#lib/live/frames';
import { gathered } from '#lib/live/gathered';
import { live } from '#lib/live/live';
import { session } from '#lib/state/session.svelte';
import { search, type Asked } from './asking';

// Milliseconds after a key before it is searched for.
const AFTER_KEY = 90;
// From one look at an index that is being built to the next.
const WHILE_BUILT = 800;
// From one search after changes elsewhere to the next.
const REST = 1_000;

/** A search as somebody types: the newest question's answer, and no older one. */
export class Search {
  results = $state.raw<Found[]>([]);
  total = $state(0);
  isAbout = $state(false);
  /** The share of messages that was searched. */
  indexed = $state(1);
  isLoading = $state(false);
  failure = $state('');
  /** The words that the results are of. */
  answered = $state('');
  #next = $state('');
  #asked: Asked = { words: '' };
  #asking = new AbortController();
  readonly #closing = new AbortController();

  constructor() {
    const again = gathered(() => this.#again(), REST, this.#closing.signal);
    const stop = live.on((frame) => {
      if (this.answered && concerns(frame)) again();
    });
    this.#closing.signal.addEventListener('abort', stop);
  }

  close(): void {
    this.#asking.abort();
    this.#closing.abort();
  }

  get hasMore(): boolean {
    return this.#next !== '';
  }

  /** Percent of the messages that were searched, if not all were. */
  get percent(): number | undefined {
    return this.indexed < 1 && this.answered ? Math.floor(this.indexed * 100) : undefined;
  }

  /** Ask for something else; what was asked before is given up. */
  async ask(asked: Asked): Promise<void> {
    const { signal } = this.#start(asked);
    if (!asked.words.trim()) {
      this.#clear();
      return;
    }
    this.isLoading = true;
    if (asked.isTyping) await pause(AFTER_KEY, signal);
    while (!signal.aborted) {
      const isBusy = await this.#read(signal);
      const isBuilt = this.indexed >= 1 || !session.config?.search_indexed;
      if (signal.aborted || (isBuilt && !isBusy)) return;
      await pause(WHILE_BUILT, signal);
    }
  }

  /** Read the next page of results. */
  async more(): Promise<void> {
    const { signal } = this.#asking;
    if (!this.#next || this.isLoading) return;
    this.isLoading = true;
    try {
      const { results, next_cursor } = await search({ ...this.#asked, cursor: this.#next }, signal);
      // What changed in between may stand on both pages.
      this.results = [...this.results, ...without(results, this.results)];
      this.#next = next_cursor ?? '';
    } catch (error) {
      if (!signal.aborted) this.failure = sentence(error);
    } finally {
      if (!signal.aborted) this.isLoading = false;
    }
  }

  #start(asked: Asked): AbortController {
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#asked = asked;
    return this.#asking;
  }

  #clear(): void {
    this.results = [];
    this.total = 0;
    this.indexed = 1;
    this.answered = this.failure = this.#next = '';
    this.isLoading = false;
  }

  /** Search once; returns whether the service is too busy, and may answer later. */
  async #read(signal: AbortSignal): Promise<boolean> {
    try {
      const found = await search(this.#asked, signal);
      if (signal.aborted) return false;
      this.results = found.results;
      this.total = found.total;
      this.isAbout = found.about;
      this.indexed = found.indexed;
      this.#next = found.next_cursor ?? '';
      this.answered = this.#asked.words.trim();
      this.failure = '';
    } catch (error) {
      if (signal.aborted) return false;
      this.failure = sentence(error);
      if (error instanceof Refused && [429, 503].includes(error.status)) return true;
      // What is being typed may not be a query yet.
      const isHalf = this.#asked.isTyping && error instanceof Refused && error.status === 422;
      if (!isHalf) this.results = [];
      this.indexed = 1;
    }
    this.isLoading = false;
    return false;
  }

  /** Look once more, as something changed; pages that were read further stay. */
  async #again(): Promise<void> {
    const { signal } = this.#asking;
    const limit = Math.min(50, Math.max(20, this.results.length));
    const found = await search({ ...this.#asked, limit: this.#asked.limit ?? limit }, signal);
    if (signal.aborted || this.isLoading) return;
    const further = this.results.slice(found.results.length);
    this.results = [...found.results, ...without(further, found.results)];
    this.total = found.total;
    this.isAbout = found.about;
  }
}

/** Results without those of conversations that others have. */
function without(results: Found[], others: Found[]): Found[] {
  const ids = others.map(({ conversation }) => conversation.id);
  return results.filter(({ conversation }) => !ids.includes(conversation.id));
}

function concerns(frame: Frame): boolean {
  return frame.conversation_id !== undefined || hasGap(frame);
}
