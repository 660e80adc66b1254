import { SvelteMap } from 'svelte/reactivity';
import { api, ok, type People as Found, type Summary } from '#lib/api/client';
import { session } from '#lib/state/session.svelte';

/** What whoever is signed in may do with a conversation. */
export interface Rights {
  /** It is theirs: all that is not named here. */
  isOwn: boolean;
  mayComment: boolean;
  mayWrite: boolean;
  /** Ask its assistant, as a guest at its owner's expense. */
  mayAsk: boolean;
}

const OWN: Rights = { isOwn: true, mayComment: true, mayWrite: true, mayAsk: true };

/** Who has to do with the conversations that were opened: owners, guests, and who wrote. */
class People {
  readonly #found = new SvelteMap<string, Found>();

  of(id: string): Found | undefined {
    return this.#found.get(id);
  }

  async read(id: string): Promise<void> {
    const params = { path: { conversation_id: id } };
    this.#found.set(id, await ok(api.GET('/conversations/{conversation_id}/people', { params })));
  }

  /** How many a conversation is shared with now. */
  guestsOf(id: string): number {
    const all = this.of(id)?.people ?? [];
    return all.filter(({ role }) => role !== null && role !== 'owner').length;
  }

  nameOf(id: string, user: string): string | undefined {
    return this.of(id)?.people.find((each) => each.user_id === user)?.username;
  }

  /** The most that may be done with a conversation; to read it, until more is known. */
  rightsIn(row: Summary | null | undefined): Rights {
    if (!row || !session.isForeign(row)) return OWN;
    const { role, agents } = this.of(row.id) ?? { role: 'viewer', agents: false };
    return {
      isOwn: false,
      mayComment: role !== 'viewer',
      mayWrite: role === 'editor',
      mayAsk: agents,
    };
  }
}

export const people = new People();
