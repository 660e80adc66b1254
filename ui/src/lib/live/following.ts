import { api, ok, Refused } from '#lib/api/client';
import { agents } from '#lib/state/agents.svelte';
import { categories } from '#lib/state/categories.svelte';
import { conversations } from '#lib/state/conversations.svelte';
import { pinned } from '#lib/state/pinned.svelte';
import { session } from '#lib/state/session.svelte';
import { hasGap, isDeletion, type Frame } from './frames';
import { gathered } from './gathered';
import { live } from './live';

// Milliseconds from one reading to the next.
const REST = 100;
const LONG_REST = 1_000;
// More changed conversations are not read one by one.
const FEW = 5;
const SESSION_ENDED = 4401;

/** Keep the lists of conversations and agents, and the preferences; returns how to stop that. */
export function followEvents(user: string): () => void {
  const closing = new AbortController();
  const { signal } = closing;
  const changed = new Map<string, number>();

  const readPreferences = gathered(() => session.readPreferences(), REST, signal);
  const readAgents = gathered(
    () => (agents.found ? agents.refresh() : Promise.resolve()),
    REST,
    signal,
  );
  const readCategories = gathered(() => categories.refresh(), REST, signal);
  const readAll = gathered(
    () => Promise.all([conversations.again(), pinned.read()]),
    LONG_REST,
    signal,
  );
  const readChanged = gathered(
    async () => {
      if (changed.size > FEW) {
        changed.clear();
        readAll();
        return;
      }
      for (const [id, version] of [...changed]) {
        if ((conversations.find(id)?.version ?? -1) < version) await readOne(id);
        if (changed.get(id) === version) changed.delete(id);
      }
    },
    REST,
    signal,
  );

  const take = (frame: Frame) => {
    const id = frame.conversation_id;
    if (hasGap(frame)) {
      readAll();
      readAgents();
      readCategories();
      if (frame.type === 'reset') readPreferences();
    } else if (frame.type.startsWith('agent.')) readAgents();
    else if (frame.type === 'preferences.updated') readPreferences();
    else if (frame.type === 'categories.updated') readCategories();
    else if (frame.code === SESSION_ENDED) {
      // The answer leads to what an ended session leads to.
      ok(api.GET('/auth/me')).catch(() => undefined);
    } else if (frame.owner_id && id && !conversations.find(id)) {
      // What others share is not in the list of one's own.
    } else if (id && isDeletion(frame)) conversations.drop(id);
    else if (id) {
      changed.set(id, frame.version ?? Infinity);
      readChanged();
    }
  };

  const stopTaking = live.on(take);
  const stop = live.start(user);
  return () => {
    stopTaking();
    stop();
    closing.abort();
  };
}

async function readOne(id: string): Promise<void> {
  try {
    await conversations.read(id);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    conversations.drop(id);
  }
}
