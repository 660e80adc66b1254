import { newId } from '#lib/api/client';

/** A frame of the service's live events, as far as the page uses it. */
export interface Frame {
  type: string;
  /** The id to resume after; ids order as text. */
  id?: string;
  request_id?: string;
  conversation_id?: string;
  version?: number;
  deleted?: boolean;
  /** Whose conversation it is, where another user shares it. */
  owner_id?: string;
  /** The fields of a conversation that changed. */
  fields?: string[];
  reply_id?: string;
  state?: string;
  export_id?: string;
  /** Of an export: the conversations in its finished parts. */
  done?: number;
  /** Of an export: how many parts are finished. */
  parts?: number;
  code?: number;
  retry_ms?: number;
}

const TAB = newId().slice(0, 8);

/** Return the id of a request whose frames this tab recognises. */
export function ownRequest(): Record<'X-Request-ID', string> {
  return { 'X-Request-ID': `${TAB}.${newId()}` };
}

/** Whether a request of this tab that is named by `ownRequest` caused a frame. */
export function isOwn(frame: Frame): boolean {
  return frame.request_id?.startsWith(`${TAB}.`) ?? false;
}

/** Whether frames may be missing before this one. */
export function hasGap(frame: Frame): boolean {
  return frame.type === 'ready' || frame.type === 'reset';
}

/** Whether a frame tells something new to who knows a conversation at a version. */
export function isNewer(frame: Frame, known: { id: string; version: number | undefined }): boolean {
  if (frame.conversation_id !== known.id || isOwn(frame)) return false;
  return (frame.version ?? Infinity) > (known.version ?? 0);
}

export function isDeletion(frame: Frame): boolean {
  return frame.type === 'conversation.deleted' || frame.deleted === true;
}

/** Whether a frame tells of who has access to a conversation. */
export function isBeside(frame: Frame): boolean {
  return /^conversation\.(un)?shared$/.test(frame.type);
}

/** Whether a frame tells of notes in a conversation, or stands for others that may have. */
export function isOfNotes(frame: Frame, id: string): boolean {
  if (frame.conversation_id !== id) return frame.type === 'reset';
  return frame.type.startsWith('note.') || frame.type === 'conversation.changed';
}
