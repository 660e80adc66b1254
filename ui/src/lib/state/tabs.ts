import type { Frame } from '#lib/live/frames';

/** What the tabs of one browser tell each other. */
export type Note = { type: 'signed-out' } | { type: 'frame'; user: string; frame: Frame };

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('chatvault');

export function tell(note: Note): void {
  channel?.postMessage(note);
}

export function listen(call: (note: Note) => void): () => void {
  const handle = (event: MessageEvent<Note>) => {
    call(event.data);
  };
  channel?.addEventListener('message', handle);
  return () => channel?.removeEventListener('message', handle);
}
