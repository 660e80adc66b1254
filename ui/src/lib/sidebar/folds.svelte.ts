import { api, ok, type Summary } from '#lib/api/client';
import { isDeletion, hasGap, type Frame } from '#lib/live/frames';
import { gathered } from '#lib/live/gathered';
import { live } from '#lib/live/live';
import { local } from '#lib/store/local';

// Conversations of a category, with those within it, that the sidebar shows.
const MOST = 50;
const REST = 500;
const KEY = 'folds';

/** Which categories of the sidebar are open, and what is in them. */
class Folds {
  open = $state.raw<readonly string[]>(read());
  rows = $state.raw<Readonly<Record<string, Summary[]>>>({});

  isOpen(id: string): boolean {
    return this.open.includes(id);
  }

  toggle(id: string): void {
    this.open = this.isOpen(id) ? this.open.filter((each) => each !== id) : [...this.open, id];
    local.set(KEY, this.open.join(' '));
  }

  /** Whether a category has more conversations than are shown. */
  isCut(id: string): boolean {
    return this.rows[id]?.length === MOST;
  }

  /** Keep what is in some open categories as it is; returns how to stop that. */
  follow(ids: readonly string[]): () => void {
    const closing = new AbortController();
    const readSoon = gathered(() => this.#read(ids), REST, closing.signal);
    readSoon();
    const stop = live.on((frame) => {
      if (concerns(frame)) readSoon();
    });
    return () => {
      stop();
      closing.abort();
    };
  }

  async #read(ids: readonly string[]): Promise<void> {
    const found: Record<string, Summary[]> = {};
    for (const category of ids) {
      const query = { view: 'summary', status: 'active', category, limit: MOST } as const;
      found[category] = (await ok(api.GET('/conversations', { params: { query } }))) as Summary[];
    }
    this.rows = found;
  }
}

function read(): string[] {
  return (local.get(KEY) ?? '').split(' ').filter(Boolean);
}

function concerns(frame: Frame): boolean {
  return hasGap(frame) || isDeletion(frame) || (frame.type.startsWith('conversation.') ?? false);
}

export const folds = new Folds();
