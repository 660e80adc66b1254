import { SvelteMap } from 'svelte/reactivity';
import type { Summary } from '#lib/api/client';
import type { Action, Which } from './bulk';
import type { Filters } from './filters';
import { bulkWork } from './work.svelte';

/** The conversations that are chosen: some, on whichever pages they are, or all that match. */
export class Selection {
  readonly chosen = new SvelteMap<string, Summary>();
  /** What all match that are chosen, and how many these are; null where some are chosen. */
  all = $state.raw<{ filters: Filters; total: number } | null>(null);
  #last = 0;

  get ids(): string[] {
    return [...this.chosen.keys()];
  }

  get size(): number {
    return this.all?.total ?? this.chosen.size;
  }

  has(id: string): boolean {
    return this.all !== null || this.chosen.has(id);
  }

  /** Choose one or not; with shift, all from the last one to this. */
  choose(rows: Summary[], index: number, isChosen: boolean, isRange: boolean): void {
    const [from, to] = isRange
      ? [Math.min(this.#last, index), Math.max(this.#last, index)]
      : [index, index];
    this.chooseAll(rows.slice(from, to + 1), isChosen);
    this.#last = index;
  }

  /** Choose rows or not; of all that match, those that were chosen before stay. */
  chooseAll(rows: Summary[], isChosen: boolean): void {
    this.all = null;
    for (const row of rows) {
      if (isChosen) this.chosen.set(row.id, row);
      else this.chosen.delete(row.id);
    }
  }

  /** Choose all that match, on every page. */
  chooseMatching(filters: Filters, total: number): void {
    this.all = { filters, total };
  }

  clear(): void {
    this.all = null;
    this.chosen.clear();
    this.#last = 0;
  }

  /** Know of those that are chosen what a page shows now. */
  renew(rows: Summary[]): void {
    for (const row of rows) if (this.chosen.has(row.id)) this.chosen.set(row.id, row);
  }

  /** Do something with each that is chosen; what cannot be changed is chosen again. */
  async apply(action: Action): Promise<void> {
    const rows = [...this.chosen.values()];
    const which: Which = this.all ?? { rows };
    // What is chosen from now on has nothing to do with it.
    this.clear();
    const outcome = await bulkWork.change(which, action);
    const isDone = outcome && !outcome.isCancelled;
    if (!isDone && 'filters' in which) this.all = which;
    for (const row of rows) {
      if (!isDone || outcome.failures.includes(row.id)) this.chosen.set(row.id, row);
    }
  }
}
