import { sentence } from '#lib/api/client';
import { changeTags } from '#lib/order/changing';
import { conversations } from '#lib/state/conversations.svelte';

// Calls that are under way at once.
const AT_ONCE = 4;

/** What is done with many conversations. */
export type Action =
  | { name: 'archive' | 'unarchive' | 'pin' | 'unpin' | 'delete' }
  | { name: 'tag' | 'untag'; tag: string }
  | { name: 'move'; category: string | null };

export interface Outcome {
  /** The ids of those that could not be changed. */
  failed: string[];
  /** Why, of the last of them. */
  reason: string;
}

/**
 * Do the same with many conversations, a few at a time.
 *
 * @param progress - is told how many are done.
 */
export async function changeAll(
  ids: readonly string[],
  action: Action,
  progress: (done: number) => void,
): Promise<Outcome> {
  const waiting = [...ids];
  const outcome: Outcome = { failed: [], reason: '' };
  let done = 0;
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try {
        await change(id, action);
      } catch (error) {
        outcome.failed.push(id);
        outcome.reason = sentence(error);
      }
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outcome;
}

async function change(id: string, action: Action): Promise<void> {
  switch (action.name) {
    case 'archive':
    case 'unarchive':
      await conversations.archive(id, action.name === 'archive');
      break;
    case 'pin':
    case 'unpin':
      await conversations.change(id, { pinned: action.name === 'pin' });
      break;
    case 'tag':
      await changeTags(id, { add: [action.tag] });
      break;
    case 'untag':
      await changeTags(id, { remove: [action.tag] });
      break;
    case 'move':
      await conversations.change(id, { category_id: action.category });
      break;
    case 'delete':
      await conversations.delete(id);
      break;
  }
}
