import { delay, pause } from '#lib/api/waiting';
import { listen, tell } from '#lib/state/tabs';
import type { Frame } from './frames';
import { SILENT, stayConnected, WATCH } from './socket';

type Listener = (frame: Frame) => void;

/**
 * The service's live events: one tab of a browser is connected, and hands the frames to the others.
 *
 * Each tab remembers the last id, so that whichever leads next continues where the last one ended.
 */
class Live {
  #last = '';
  #heard = 0;
  #isBroken = false;
  readonly #listeners = new Set<Listener>();

  /** Call something with each frame; returns how to stop that. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follow a user's events; returns how to stop that. */
  start(user: string): () => void {
    const closing = new AbortController();
    const stopListening = listen((note) => {
      if (note.type === 'frame' && note.user === user) this.#take(note.frame);
    });
    this.#heard = Date.now();
    // Only pages by https or of this machine have locks; elsewhere each tab has its own connection.
    if ('locks' in navigator) this.#takeTurns(user, closing.signal);
    else void this.#connect(closing.signal, () => undefined);
    // Without a connection, as behind a proxy that lets no socket through, others' changes show then.
    const look = () => {
      if (this.#isBroken && document.visibilityState === 'visible') this.#hand({ type: 'ready' });
    };
    document.addEventListener('visibilitychange', look);
    return () => {
      closing.abort();
      stopListening();
      document.removeEventListener('visibilitychange', look);
    };
  }

  /** Lead, or wait until the tab that leads is closed or silent. */
  #takeTurns(user: string, signal: AbortSignal): void {
    let isLeading = false;
    const lead = async (options: LockOptions) => {
      const over = new AbortController();
      const stop = () => {
        over.abort();
      };
      signal.addEventListener('abort', stop);
      const work = async (lock: Lock | null) => {
        if (!lock || signal.aborted) return false;
        isLeading = true;
        const spread = (frame: Frame) => {
          tell({ type: 'frame', user, frame });
        };
        await this.#connect(over.signal, spread);
        return true;
      };
      try {
        return await navigator.locks.request(`chatvault.live.${user}`, options, work);
      } catch {
        // Another tab took the lead, or this one is to wait no longer.
        await pause(delay(0), signal);
        return true;
      } finally {
        isLeading = false;
        stop();
        signal.removeEventListener('abort', stop);
      }
    };
    const wait = async () => {
      while (!signal.aborted) await lead({ signal });
    };
    void (async () => {
      if (!(await lead({ ifAvailable: true }))) {
        // What was read before this tab listened may have changed.
        this.#hand({ type: 'ready' });
      }
      await wait();
    })();

    // Systems suspend hidden tabs, also one that leads; a tab that is looked at takes over.
    const look = () => {
      const isSilent = Date.now() - this.#heard > SILENT;
      if (isLeading || !isSilent || !navigator.onLine) return;
      if (document.visibilityState !== 'visible') return;
      this.#heard = Date.now();
      void lead({ steal: true });
    };
    const timer = setInterval(look, WATCH);
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    });
  }

  #connect(signal: AbortSignal, spread: Listener): Promise<void> {
    return stayConnected({
      after: () => this.#last,
      take: (frame) => {
        spread(frame);
        this.#take(frame);
      },
      signal,
    });
  }

  #take(frame: Frame): void {
    this.#heard = Date.now();
    this.#isBroken = frame.type === 'disconnected';
    if (frame.id) {
      // Also a `ready` that resumes: nothing is missing before it.
      if (frame.id <= this.#last) return;
      const isResumed = frame.type === 'ready' && this.#last !== '';
      this.#last = frame.id;
      if (isResumed) return;
    }
    this.#hand(frame);
  }

  #hand(frame: Frame): void {
    for (const listener of this.#listeners) listener(frame);
  }
}

export const live = new Live();
