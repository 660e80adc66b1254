import { Refused, type Summary } from '#lib/api/client';
import { people } from '#lib/sharing/people.svelte';
import { session } from '#lib/state/session.svelte';

/** A thread, as far as what stands beside it asks. */
interface Beside {
  readonly id: string;
  readonly conversation: Summary | null;
  readonly notes: { readonly hasLoaded: boolean; read(): Promise<unknown> };
  isGone: boolean;
  refresh(): Promise<unknown>;
}

/** Read who has to do with a conversation, and its notes, where there are any. */
export async function readBeside(thread: Beside, conversation: Summary): Promise<void> {
  // What a guest may do has to be known; the rest shows when it is there.
  if (session.isForeign(conversation)) await people.read(thread.id);
  else if (conversation.shared) people.read(thread.id).catch(() => undefined);
  if (conversation.noted) thread.notes.read().catch(() => undefined);
}

/** Look whether access is as it was, and read again what a guest is told of by nobody. */
export async function lookAgain(thread: Beside): Promise<void> {
  const { conversation } = thread;
  if (!conversation || thread.isGone) return;
  try {
    const isForeign = session.isForeign(conversation);
    if (isForeign) await people.read(thread.id);
    if (thread.notes.hasLoaded) await thread.notes.read();
    if (isForeign) await thread.refresh();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) thread.isGone = true;
  }
}
