import { api, ok, type Summary } from '#lib/api/client';

// More are not read; the library has them all.
const MOST = 100;

/** The pinned conversations that are active, newest change first. */
class Pinned {
  rows = $state.raw<Summary[]>([]);
  #changes = 0;

  async read(): Promise<void> {
    let changes: number;
    do {
      changes = this.#changes;
      const query = { view: 'summary', status: 'active', pinned: true, limit: MOST } as const;
      const found = (await ok(api.GET('/conversations', { params: { query } }))) as Summary[];
      if (changes === this.#changes) this.rows = found;
    } while (changes !== this.#changes);
  }

  /** Show a conversation as it is known now. */
  put(row: Summary): void {
    const others = this.rows.filter((each) => each.id !== row.id);
    const belongs = row.pinned && row.status === 'active';
    if (!belongs && others.length === this.rows.length) return;
    this.#changes += 1;
    const all = belongs ? [row, ...others] : others;
    this.rows = all.sort((a, b) => b.updated_at.localeCompare(a.updated_at));
  }

  drop(id: string): void {
    this.#changes += 1;
    this.rows = this.rows.filter((each) => each.id !== id);
  }
}

export const pinned = new Pinned();
