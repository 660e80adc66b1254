import { api, ok, type Fork, type Message, type Summary } from '#lib/api/client';

// So many forks are read at once.
const PAGE = 200;

/** Where a message stands among those that follow the same one. */
export interface Place {
  fork: Fork;
  /** From 0. */
  at: number;
  count: number;
}

/** Return the ids of the messages after a fork that can be shown. */
function livingOf(fork: Fork, gone: readonly string[]): string[] {
  return fork.messages.map((each) => each.id).filter((id) => !gone.includes(id));
}

function placesOf(forks: Fork[], gone: readonly string[]): ReadonlyMap<string, Place> {
  return new Map(
    forks.flatMap((fork) => {
      const living = livingOf(fork, gone);
      return living.map((id, at): [string, Place] => [id, { fork, at, count: living.length }]);
    }),
  );
}

/** Where a conversation divides, as far as its shown messages need. */
export class Branches {
  #forks = $state.raw<Fork[]>([]);
  /** Messages that turned out to be deleted. */
  #gone = $state.raw<readonly string[]>([]);
  /** Messages changed since the forks were read. */
  isStale = $state(false);
  #version = -1;
  #isComplete = true;
  #reading: Promise<void> | undefined;

  readonly #places = $derived(placesOf(this.#forks, this.#gone));

  /** Where a message stands, if others follow the same one. */
  of(message: Message): Place | undefined {
    const place = this.#places.get(message.id);
    return place && place.count > 1 ? place : undefined;
  }

  /** The fork after a message of which no branch is shown, such as after its answer was deleted. */
  unshownAfter(message: Message, next: Message | undefined): Fork | undefined {
    if (this.isStale) return undefined;
    const fork = this.#forks.find((each) => each.parent_id === message.id);
    if (!fork || fork.messages.some(({ id }) => id === next?.id)) return undefined;
    return this.newestOf(fork) ? fork : undefined;
  }

  /** The message beside one, in a direction; undefined at the end. */
  beside(place: Place, by: number): string | undefined {
    return livingOf(place.fork, this.#gone)[place.at + by];
  }

  /** The newest message after a fork that is not on the branch that is shown. */
  newestOf(fork: Fork): string | undefined {
    return livingOf(fork, this.#gone).findLast((id) => id !== fork.active_id);
  }

  leaveOut(id: string): void {
    this.#gone = [...this.#gone, id];
  }

  /**
   * Read the forks of a conversation that has branches, once a version.
   *
   * @param first - the lowest `seq` that is shown; forks before it are not needed.
   */
  async read(conversation: Summary, first: number): Promise<void> {
    if (!conversation.branched) {
      if (this.#forks.length) this.#forks = [];
      return;
    }
    await this.#reading?.catch(() => undefined);
    const isNew = conversation.version !== this.#version;
    if (!isNew && (this.#isComplete || this.#lowest() < first)) return;
    this.#reading = this.#readOn(conversation, first, isNew);
    await this.#reading;
  }

  async #readOn(conversation: Summary, first: number, isNew: boolean): Promise<void> {
    let found = isNew ? [] : this.#forks;
    let hasMore = true;
    while (hasMore && (found.at(-1)?.parent_seq ?? Infinity) >= first) {
      const before = found.at(-1)?.parent_seq;
      const page = await ok(
        api.GET('/conversations/{conversation_id}/forks', {
          params: {
            path: { conversation_id: conversation.id },
            query: { limit: PAGE, ...(before === undefined ? {} : { before }) },
          },
        }),
      );
      found = [...found, ...page.forks];
      hasMore = page.hasMore && page.forks.length > 0;
    }
    this.#forks = found;
    this.#isComplete = !hasMore;
    this.#version = conversation.version;
    this.isStale = false;
  }

  #lowest(): number {
    return this.#forks.at(-1)?.parent_seq ?? Infinity;
  }
}
