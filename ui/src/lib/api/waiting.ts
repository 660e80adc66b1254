const SHORTEST = 500;
const LONGEST = 15_000;
/** A tab that is hidden for so long gives its connection back. */
const HIDDEN = 2_000;

/** Milliseconds before the next try: twice as long each time, and not the same for everybody. */
export function delay(tries: number): number {
  return Math.min(LONGEST, SHORTEST * 2 ** tries) * (0.75 + Math.random() / 2);
}

/** Wait; no longer than until the network is back or the page is looked at again. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener('online', done);
      document.removeEventListener('visibilitychange', seen);
      resolve();
    };
    const seen = () => {
      if (document.visibilityState === 'visible') done();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener('online', done);
    document.addEventListener('visibilitychange', seen);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Wait until the page is looked at. */
export function seen(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState !== 'visible' && !signal.aborted) return;
      document.removeEventListener('visibilitychange', look);
      signal.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
    look();
  });
}

/** Ends with another signal, or once the page has been hidden for a while. */
export class WhileSeen {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    outer.addEventListener('abort', this.#end);
    document.addEventListener('visibilitychange', this.#look);
    if (outer.aborted) this.#end();
    else this.#look();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Look no further. */
  release(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#end);
    document.removeEventListener('visibilitychange', this.#look);
  }

  #look = () => {
    clearTimeout(this.#timer);
    if (document.visibilityState === 'hidden') this.#timer = setTimeout(this.#end, HIDDEN);
  };

  #end = () => {
    this.#controller.abort();
  };
}
