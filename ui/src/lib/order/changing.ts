import { Refused } from '#lib/api/client';
import { conversations, type Changes } from '#lib/state/conversations.svelte';

// Changes of somebody else in between, after which it is given up.
const TRIES = 5;

/** The tags of somebody's own, with some more and without others, in their order. */
export function tagsWith(
  tags: readonly string[],
  { add = [], remove = [] }: { add?: readonly string[]; remove?: readonly string[] },
): string[] {
  const kept = tags.filter((tag) => !remove.includes(tag));
  return [...kept, ...add.filter((tag) => !kept.includes(tag))];
}

/** Add and remove tags, and leave those that somebody else adds meanwhile. */
export async function changeTags(
  id: string,
  by: { add?: readonly string[]; remove?: readonly string[] },
  more: Changes = {},
): Promise<void> {
  let row = conversations.find(id);
  for (let tries = 1; ; tries++) {
    row ??= await conversations.read(id);
    const tags = tagsWith(row.tags, by);
    const isSame = tags.join('\n') === row.tags.join('\n');
    if (isSame && !Object.keys(more).length) return;
    try {
      await conversations.change(id, { ...more, ...(isSame ? {} : { tags }) }, row.version);
      return;
    } catch (error) {
      const isStale = error instanceof Refused && error.status === 412;
      if (!isStale || tries === TRIES) throw error;
      row = undefined;
    }
  }
}
