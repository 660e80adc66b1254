import { Refused, sentence } from '#lib/api/client';
import { conversations } from '#lib/state/conversations.svelte';
import { notices } from '#lib/state/notices.svelte';
import { number } from '#lib/words';
import { apart } from '#lib/words/apart';
import { inOrder } from '#lib/words/order';
import { trash } from '#lib/words/trash';
import { changeAll, type Action, type Outcome, type Undo, type Which } from './bulk';

const words = inOrder.library;

/** The work with many conversations that is under way, on whichever page one is. */
class BulkWork {
  isRunning = $state(false);
  isCancelled = $state(false);
  done = $state(0);
  total = $state(0);

  show = (done: number, total: number): void => {
    this.done = done;
    this.total = total;
  };

  cancel(): void {
    this.isCancelled = true;
  }

  /** Do something with many, and offer to take it back; returns the outcome, if there is any. */
  async change(which: Which, action: Action): Promise<Outcome | null> {
    const total = 'filters' in which ? which.total : which.rows.length;
    return this.#run(total, () => changeAll(which, action, this), words.done);
  }

  async undo(undo: Undo): Promise<void> {
    await this.#run(0, () => undo(this), words.undone);
  }

  async #run(
    total: number,
    work: () => Promise<Outcome>,
    told: (count: number, shown: string) => string,
  ): Promise<Outcome | null> {
    if (this.isRunning) return null;
    this.isRunning = true;
    this.isCancelled = false;
    this.show(0, total);
    try {
      const outcome = await work();
      tell(outcome, told);
      return outcome;
    } catch (error) {
      const isOther = error instanceof Refused && error.code === 'batch_in_progress';
      notices.show(isOther ? words.inProgress : sentence(error), { isBad: true });
      return null;
    } finally {
      this.isRunning = false;
      await conversations.again().catch(() => undefined);
    }
  }
}

function tell(outcome: Outcome, told: (count: number, shown: string) => string): void {
  const { changed, failed, code, undo } = outcome;
  const sentences = [
    ...(outcome.isCancelled ? [words.cancelled] : []),
    told(changed, number(changed)),
    ...(failed ? [apart.library.partly(number(failed)), words.reasons[code] ?? ''] : []),
    ...(!failed && code ? [words.reasons[code] ?? ''] : []),
  ];
  const action = undo && { label: trash.undo, run: () => void bulkWork.undo(undo) };
  notices.show(sentences.join(' '), { isBad: failed > 0, action });
}

export const bulkWork = new BulkWork();
