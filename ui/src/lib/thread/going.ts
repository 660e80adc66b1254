import { tick } from 'svelte';
import { notices } from '#lib/state/notices.svelte';
import { dayOf, t } from '#lib/words';
import { inThread } from '#lib/words/thread';
import type { ScrollOwner } from './scroll.svelte';
import type { Thread } from './thread.svelte';

/** Where somebody goes to: an end, a day, a message by its number or its place. */
export type Goal = 'start' | 'newest' | Date | number | { seq: number };

/** Go to a place of a thread, or say that there is none. */
export async function goTo(goal: Goal, thread: Thread, scroll: ScrollOwner): Promise<void> {
  if (goal === 'newest') {
    thread.target = null;
    await thread.toNewest();
    await tick();
    scroll.pin();
  } else if (typeof goal === 'number') {
    if (!(await thread.goToNumber(goal))) notices.show(inThread.goTo.gone);
  } else if (goal === 'start' || goal instanceof Date) {
    await goToDay(goal, thread, scroll);
  } else if (!(await thread.jump(goal.seq))) notices.show(inThread.goTo.gone);
}

async function goToDay(goal: 'start' | Date, thread: Thread, scroll: ScrollOwner): Promise<void> {
  const since = goal === 'start' ? new Date(0) : goal;
  const first = await thread.goToTime(since.toISOString());
  if (!first) {
    notices.show(t.goTo.nothing);
    return;
  }
  thread.target = null;
  // After the dialog has given the focus back.
  await tick();
  setTimeout(() => {
    scroll.show(first.seq);
  });
  const found = new Date(first.timestamp);
  if (goal !== 'start' && found.toDateString() !== goal.toDateString()) {
    notices.show(t.goTo.next(dayOf(first.timestamp)));
  }
}
