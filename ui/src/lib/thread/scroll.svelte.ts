import { flushSync } from 'svelte';

// So close to the end counts as at the end.
const NEAR_END = 48;
// What stays free above a message that is gone to.
const ABOVE = 16;
// So close to an edge the next page is read.
const NEAR_EDGE = 900;

/** Reads a page, and returns what shows it. */
type ReadPage = () => Promise<() => void>;

interface Edges {
  older: ReadPage;
  newer: ReadPage;
}

/** Who owns the scrolling of a thread: it follows the end, or the person reads elsewhere. */
export class ScrollOwner {
  isPinned = $state(true);
  #element: HTMLElement | undefined;
  #edges: Edges;
  #isReading = false;
  #expected = -1;

  constructor(edges: Edges) {
    this.#edges = edges;
  }

  /** Take charge of an element, for as long as it is there. */
  own(element: HTMLElement): () => void {
    this.#element = element;
    const scrolled = () => {
      this.#scrolled();
    };
    element.addEventListener('scroll', scrolled, { passive: true });
    // What grows while somebody is at the end keeps them there.
    const watching = new ResizeObserver(() => {
      if (this.isPinned) this.#jump();
    });
    for (const child of element.children) watching.observe(child);
    return () => {
      element.removeEventListener('scroll', scrolled);
      watching.disconnect();
      this.#element = undefined;
    };
  }

  #scrolled(): void {
    const element = this.#element;
    if (!element) return;
    // Where we put it ourselves; everything else is the person's doing.
    if (Math.abs(element.scrollTop - this.#expected) > 2) {
      this.isPinned = this.#fromEnd(element) < NEAR_END;
    }
    this.#expected = -1;
    if (element.scrollTop < NEAR_EDGE) void this.#read(this.#edges.older);
    else if (this.#fromEnd(element) < NEAR_EDGE) void this.#read(this.#edges.newer);
  }

  #fromEnd(element: HTMLElement): number {
    return element.scrollHeight - element.scrollTop - element.clientHeight;
  }

  #jump(): void {
    const element = this.#element;
    if (!element) return;
    element.scrollTop = element.scrollHeight;
    this.#expected = element.scrollTop;
  }

  /** Show a message at the top, and let the person read on from there. */
  show(seq: number, { takesFocus = true } = {}): void {
    this.isPinned = false;
    const element = this.#element;
    const found = this.#article(seq);
    // Of this pane alone: `scrollIntoView` would move what is around it, too.
    if (element && found) {
      const top = element.getBoundingClientRect().top + ABOVE;
      element.scrollTop += found.getBoundingClientRect().top - top;
    }
    if (takesFocus) found?.focus({ preventScroll: true });
    this.#expected = element?.scrollTop ?? -1;
  }

  /** Go to the end, and stay there. */
  pin(): void {
    this.isPinned = true;
    this.#jump();
  }

  /** Show something in place of a message and what follows, at the height where that stands. */
  exchange(show: () => void, seq: number): void {
    const element = this.#element;
    if (!element) return;
    this.isPinned = false;
    const was = this.#article(seq)?.getBoundingClientRect().top;
    const before = this.#article(seq)?.previousElementSibling;
    element.style.overflowAnchor = 'none';
    flushSync(show);
    const first = before?.isConnected ? before.nextElementSibling : this.#article();
    if (first && was !== undefined) {
      element.scrollTop += first.getBoundingClientRect().top - was;
      this.#expected = element.scrollTop;
    }
    requestAnimationFrame(() => {
      element.style.overflowAnchor = '';
    });
  }

  #article(seq?: number): HTMLElement | null | undefined {
    const which = seq === undefined ? '[data-seq]' : `[data-seq="${seq}"]`;
    return this.#element?.querySelector<HTMLElement>(which);
  }

  async #read(page: ReadPage): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      await this.keeping(page);
    } catch {
      // The button at the edge is still there, and says what went wrong.
    } finally {
      this.#isReading = false;
    }
  }

  /** Read a page, and leave the message that is looked at where it stands when it is shown. */
  async keeping(read: ReadPage): Promise<void> {
    const show = await read();
    const element = this.#element;
    if (!element) return;
    const top = element.getBoundingClientRect().top;
    const all = [...element.querySelectorAll<HTMLElement>('[data-seq]')];
    const seen = all.find((each) => each.getBoundingClientRect().bottom > top);
    const was = seen?.getBoundingClientRect().top ?? 0;
    // Chromium would keep the place, too, but not at the very top; Safari never does.
    element.style.overflowAnchor = 'none';
    flushSync(show);
    if (seen?.isConnected) {
      element.scrollTop += seen.getBoundingClientRect().top - was;
      this.#expected = element.scrollTop;
    }
    requestAnimationFrame(() => {
      element.style.overflowAnchor = '';
    });
  }
}
