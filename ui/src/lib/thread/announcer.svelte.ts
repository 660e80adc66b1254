import { plain, sayable } from './saying';

// So often something is said at most, in milliseconds.
const EVERY = 1_000;
// So long what was said last stays there.
const STAYS = 5_000;
const MOST = 5;

/** Says an answer to screen readers while it comes: by the sentence, never by the word. */
export class Announcer {
  /** What was said last, oldest first. */
  said = $state.raw<{ id: number; text: string }[]>([]);
  #rest = '';
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #clearing: ReturnType<typeof setTimeout> | undefined;

  add(piece: string): void {
    this.#rest += piece;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#say(sayable(this.#rest));
    }, EVERY);
  }

  /** Say what is left. */
  end(): void {
    this.stop();
    this.#say(this.#rest.length);
    this.#rest = '';
    this.#clearing = setTimeout(() => (this.said = []), STAYS);
  }

  /** Say nothing more. */
  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#clearing);
    this.#timer = undefined;
  }

  #say(length: number): void {
    const text = plain(this.#rest.slice(0, length));
    this.#rest = this.#rest.slice(length);
    if (!text) return;
    this.#count += 1;
    this.said = [...this.said, { id: this.#count, text }].slice(-MOST);
  }
}
