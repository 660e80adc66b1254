import { SvelteMap } from 'svelte/reactivity';
import type { Summary } from '#lib/api/client';
import { notices } from '#lib/state/notices.svelte';
import { number } from '#lib/words';
import { apart } from '#lib/words/apart';
import { changeAll, type Action } from './bulk';

/** The conversations that are chosen, on whichever pages they are. */
export class Selection {
  readonly chosen = new SvelteMap<string, Summary>();
  /** How far the work with them is; empty while there is none. */
  progress = $state('');
  #last = 0;

  get ids(): string[] {
    return [...this.chosen.keys()];
  }

  get size(): number {
    return this.chosen.size;
  }

  has(id: string): boolean {
    return this.chosen.has(id);
  }

  /** Choose one or not; with shift, all from the last one to this. */
  choose(rows: Summary[], index: number, isChosen: boolean, isRange: boolean): void {
    const [from, to] = isRange
      ? [Math.min(this.#last, index), Math.max(this.#last, index)]
      : [index, index];
    this.chooseAll(rows.slice(from, to + 1), isChosen);
    this.#last = index;
  }

  chooseAll(rows: Summary[], isChosen: boolean): void {
    for (const row of rows) {
      if (isChosen) this.chosen.set(row.id, row);
      else this.chosen.delete(row.id);
    }
  }

  clear(): void {
    this.chosen.clear();
    this.#last = 0;
  }

  /** Know of those that are chosen what a page shows now. */
  renew(rows: Summary[]): void {
    for (const row of rows) if (this.chosen.has(row.id)) this.chosen.set(row.id, row);
  }

  /** Do something with each that is chosen; what cannot be changed stays chosen. */
  async apply(action: Action): Promise<void> {
    const { ids } = this;
    const show = (done: number) => {
      this.progress = apart.library.progress(number(done), number(ids.length));
    };
    show(0);
    const { failed, reason } = await changeAll(ids, action, show);
    this.progress = '';
    for (const id of ids) if (!failed.includes(id)) this.chosen.delete(id);
    if (failed.length) {
      notices.show(`${apart.library.partly(number(failed.length))} ${reason}`, { isBad: true });
    }
  }
}
