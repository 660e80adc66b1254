import type { ReplyEvent } from '#lib/api/events';
import { problems } from '#lib/words/problems';
import type { Announcer } from './announcer.svelte';

/** Return why an answer failed, as its last event tells. */
export function failureOf({ data }: ReplyEvent): Error {
  return new Error(problems.sentence(String(data.code), String(data.detail)));
}

/** An answer while it comes. Pieces are gathered and shown once a frame. */
export class LiveReply {
  replyId = $state('');
  text = $state('');
  /** What the model thinks before it answers. */
  thinking = $state('');
  /** Names of the tools that it wants, as they come. */
  calls = $state.raw<string[]>([]);
  isWaiting = $state(false);
  isConnected = $state(true);
  isStopping = $state(false);
  /** The message whose place it takes. */
  replaces = $state<string>();
  lastEvent = 0;
  hasEnded = false;
  #pieces: string[] = [];
  #thoughts: string[] = [];
  #frame = 0;

  readonly #announcer: Announcer;

  constructor(replyId: string, announcer: Announcer) {
    this.replyId = replyId;
    this.#announcer = announcer;
  }

  add(piece: string): void {
    this.#pieces.push(piece);
    this.#announcer.add(piece);
    this.#flushSoon();
  }

  think(piece: string): void {
    this.#thoughts.push(piece);
    this.#flushSoon();
  }

  addCall(name: string): void {
    this.calls = [...this.calls, name];
  }

  wait(): void {
    this.isWaiting = true;
    this.#announcer.end();
    this.#empty();
  }

  goOn(): void {
    this.isWaiting = false;
    this.calls = [];
    this.#empty();
  }

  end(): void {
    this.hasEnded = true;
    this.#announcer.end();
    cancelAnimationFrame(this.#frame);
  }

  #flushSoon(): void {
    // Hidden pages draw no frames; the text comes when the page is seen.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.text += this.#pieces.join('');
      this.thinking += this.#thoughts.join('');
      this.#pieces = [];
      this.#thoughts = [];
    });
  }

  #empty(): void {
    this.#pieces = [];
    this.#thoughts = [];
    this.text = '';
    this.thinking = '';
  }
}
