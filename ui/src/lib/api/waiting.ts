const SHORTEST = 500;
const LONGEST = 15_000;

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
