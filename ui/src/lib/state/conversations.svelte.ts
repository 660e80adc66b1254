import { SvelteMap } from 'svelte/reactivity';
import { api, ok, Refused, sentence, type Summary } from '#lib/api/client';
import { t } from '#lib/words';
import { PAGE, readPage, readPages } from './pages';
import { pinned } from './pinned.svelte';
import { session } from './session.svelte';

/** A title that somebody else changed meanwhile. */
export interface TitleConflict {
  id: string;
  theirs: string;
  mine: string;
  version: number;
}

/** What can be changed of a conversation; a value of null in the metadata takes one away. */
export interface Changes {
  title?: string;
  agent_id?: string;
  mcp_enabled?: boolean;
  pinned?: boolean;
  tags?: string[];
  category_id?: string | null;
  metadata?: Record<string, string | null>;
}

/** The sidebar's list: active conversations, newest change first, read page by page. */
class Conversations {
  rows = $state.raw<Summary[]>([]);
  total = $state(0);
  isLoading = $state(false);
  hasLoaded = $state(false);
  failure = $state('');
  conflict = $state.raw<TitleConflict | null>(null);
  /** Those that were read by themselves. */
  readonly #seen = new SvelteMap<string, Summary>();

  /** Where the pages that are read end; empty at the end of all. */
  #next = '';
  /** Counts what is put in and dropped. */
  #changes = 0;

  /** A conversation as it is known, also where it is not in the list. */
  find(id: string): Summary | undefined {
    return this.#seen.get(id) ?? this.rows.find((row) => row.id === id);
  }

  /** Read the newest page, and merge it into what is there. */
  async refresh(): Promise<void> {
    await this.#read('start');
  }

  async more(): Promise<void> {
    if (this.#next && !this.isLoading) await this.#read(this.#next);
  }

  /** Read all again that was read, as after a break of the live events. */
  async again(): Promise<void> {
    if (!this.hasLoaded) return this.refresh();
    let changes: number;
    do {
      changes = this.#changes;
      const { rows, total, next } = await readPages(this.rows.length);
      // What changed meanwhile may be older in these pages than it is here.
      if (changes !== this.#changes) continue;
      for (const row of rows) if (this.#seen.has(row.id)) this.#seen.set(row.id, row);
      this.rows = sorted(rows);
      this.total = total;
      this.#next = next;
    } while (changes !== this.#changes);
  }

  async #read(cursor: string): Promise<void> {
    this.isLoading = true;
    this.failure = '';
    try {
      const { rows, total, next } = await readPage(cursor);
      this.total = total;
      this.#merge(rows, { isFirst: cursor === 'start' });
      // The newest page alone says nothing of how far older ones are read.
      if (cursor !== 'start' || !this.hasLoaded) this.#next = next;
      this.hasLoaded = true;
    } catch (error) {
      this.failure = sentence(error);
    } finally {
      this.isLoading = false;
    }
  }

  #merge(page: Summary[], { isFirst }: { isFirst: boolean }): void {
    const fresh = new Set(page.map((row) => row.id));
    // What should stand on the first page and does not was deleted or archived elsewhere.
    const last = page.at(-1)?.updated_at ?? '';
    const isGone = (row: Summary) =>
      isFirst && !fresh.has(row.id) && (page.length < PAGE || row.updated_at > last);
    const known = new Map(this.rows.map((row) => [row.id, row]));
    const newest = page.map((row) => {
      const mine = known.get(row.id);
      return mine && mine.version > row.version ? mine : row;
    });
    for (const row of newest) if (this.#seen.has(row.id)) this.#seen.set(row.id, row);
    const kept = this.rows.filter((row) => !fresh.has(row.id) && !isGone(row));
    this.rows = sorted([...kept, ...newest]);
  }

  /** Show a conversation as it is known now. */
  put(row: Summary): void {
    const known = this.find(row.id);
    if (known && known.version > row.version) return;
    this.#changes += 1;
    this.#seen.set(row.id, row);
    pinned.put(row);
    const mine = this.rows.find((each) => each.id === row.id);
    const others = this.rows.filter((each) => each.id !== row.id);
    const belongs = row.status === 'active' && !session.isForeign(row);
    if (belongs && !mine) this.total += 1;
    if (!belongs && mine) this.total -= 1;
    this.rows = belongs ? sorted([row, ...others]) : others;
  }

  drop(id: string): void {
    this.#changes += 1;
    this.#seen.delete(id);
    pinned.drop(id);
    if (!this.rows.some((row) => row.id === id)) return;
    this.rows = this.rows.filter((row) => row.id !== id);
    this.total -= 1;
  }

  async read(id: string): Promise<Summary> {
    const found = await ok(
      api.GET('/conversations/{conversation_id}', {
        params: { path: { conversation_id: id }, query: { view: 'summary' } },
      }),
    );
    this.put(found);
    return found;
  }

  /** Rename; where the title changed meanwhile, both are shown and the person chooses. */
  async rename(row: Summary, title: string): Promise<void> {
    const mine = title.trim() || t.conversation.untitled;
    this.put({ ...row, title: mine });
    try {
      await this.#patch(row.id, row.version, { title: mine });
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 412) {
        this.put(row);
        throw error;
      }
      const now = await this.read(row.id);
      if (now.title === row.title) await this.#patch(row.id, now.version, { title: mine });
      else {
        this.conflict = { id: row.id, theirs: now.title, mine, version: now.version };
      }
    }
  }

  async settle(useMine: boolean): Promise<void> {
    const conflict = this.conflict;
    this.conflict = null;
    if (conflict && useMine) {
      await this.#patch(conflict.id, conflict.version, { title: conflict.mine });
    }
  }

  async change(id: string, changes: Changes, version?: number): Promise<Summary> {
    return this.#patch(id, version, changes);
  }

  async #patch(id: string, version: number | undefined, body: Changes): Promise<Summary> {
    const header = version === undefined ? {} : { 'If-Match': `"${version}"` };
    const found = await ok(
      api.PATCH('/conversations/{conversation_id}', {
        params: { path: { conversation_id: id }, header, query: { view: 'summary' } },
        body: body as never,
      }),
    );
    this.put(found);
    return found;
  }

  async archive(id: string, archived: boolean): Promise<Summary> {
    const found = await ok(
      api.POST('/conversations/{conversation_id}/archive', {
        params: { path: { conversation_id: id }, query: { view: 'summary' } },
        body: { archived },
      }),
    );
    this.put(found);
    return found;
  }

  /** Take a conversation out of the trash. */
  async restore(id: string): Promise<Summary> {
    const found = await ok(
      api.POST('/conversations/{conversation_id}/restore', {
        params: { path: { conversation_id: id }, query: { view: 'summary' } },
      }),
    );
    this.put(found);
    return found;
  }

  async delete(id: string): Promise<void> {
    await ok(
      api.DELETE('/conversations/{conversation_id}', {
        params: { path: { conversation_id: id } },
      }),
    );
    this.drop(id);
  }
}

function sorted(rows: Summary[]): Summary[] {
  return rows.sort((a, b) =>
    a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0,
  );
}

export const conversations = new Conversations();
