import { Refused, type Fork, type Message } from '#lib/api/client';
import { notices } from '#lib/state/notices.svelte';
import { number } from '#lib/words';
import { inThread } from '#lib/words/thread';
import type { ScrollOwner } from './scroll.svelte';
import { threadSentence } from './sentences';
import type { Thread } from './thread.svelte';

/** Shows one branch in place of another, where the person looks. */
export class Switching {
  readonly #thread: Thread;
  readonly #scroll: ScrollOwner;

  constructor(thread: Thread, scroll: ScrollOwner) {
    this.#thread = thread;
    this.#scroll = scroll;
  }

  /** Show the branch beside the one that a message is on; deleted ones are passed over. */
  async step(message: Message, by: -1 | 1, pane: HTMLElement | undefined): Promise<void> {
    const { branches } = this.#thread;
    const place = branches.of(message);
    const wanted = place && branches.beside(place, by);
    if (!wanted) return;
    const isShown = await this.show(place.fork, wanted, message.seq);
    if (isShown === undefined) await this.step(message, by, pane);
    const now = this.#thread.messages.find((each) => each.id === wanted);
    const found = now && branches.of(now);
    if (!isShown || !found) return;
    notices.say(inThread.branches.shown(number(found.at + 1), number(found.count)));
    // The button that was pressed went with its message.
    const buttons = [
      ...(pane?.querySelectorAll<HTMLElement>(
        `[data-seq="${now.seq}"] [data-branches] [data-step]:enabled`,
      ) ?? []),
    ];
    const button = buttons.find((each) => each.dataset.step === String(by)) ?? buttons[0];
    button?.focus({ preventScroll: true });
  }

  /**
   * Show a branch from its fork on.
   *
   * @param seq - the message that the branch comes in place of, and stays at its height.
   * @returns whether it is shown; undefined where it was deleted.
   */
  async show(fork: Fork, id: string, seq?: number): Promise<boolean | undefined> {
    try {
      const put = await this.#thread.showBranch(fork.parent_seq, id);
      if (seq === undefined) put();
      else this.#scroll.exchange(put, seq);
      return true;
    } catch (error) {
      if (error instanceof Refused && error.status === 404) {
        this.#thread.branches.leaveOut(id);
        notices.show(inThread.branches.gone);
        return undefined;
      }
      notices.show(threadSentence(error), { isBad: true });
      return false;
    }
  }
}
