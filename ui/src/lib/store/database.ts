import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import { local } from './local';

/** What was typed and is not sent. */
export interface Draft {
  /** User and conversation, or user and "new". */
  key: string;
  user: string;
  text: string;
  at: number;
}

/** A message on its way, with the very body that is sent, as keys of repeats compare bytes. */
export interface Entry {
  /** Also the id of the message. */
  id: string;
  user: string;
  /** The conversation, or what stands for one that does not exist yet. */
  conversation: string;
  path: string;
  body: string;
  key: string;
  content: string;
  at: number;
  state: 'queued' | 'refused';
  /** Why it was refused, as a sentence. */
  reason: string;
}

interface Schema extends DBSchema {
  drafts: { key: string; value: Draft; indexes: { user: string } };
  outbox: { key: string; value: Entry; indexes: { user: string } };
}

const NAME = 'chatvault';
let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>(NAME, 1, {
    upgrade(db) {
      db.createObjectStore('drafts', { keyPath: 'key' }).createIndex('user', 'user');
      db.createObjectStore('outbox', { keyPath: 'id' }).createIndex('user', 'user');
    },
  });
  return opened;
}

/** Do something with the database; a browser that has none, or a full one, loses no more than this. */
async function attempt<T>(
  otherwise: T,
  work: (db: IDBPDatabase<Schema>) => Promise<T>,
): Promise<T> {
  try {
    return await work(await database());
  } catch {
    return otherwise;
  }
}

const keyOf = (user: string, conversation: string) => `${user} ${conversation}`;

export async function readDraft(user: string, conversation: string): Promise<string> {
  const key = keyOf(user, conversation);
  const kept = JSON.parse(local.get('draft') ?? 'null') as Pick<Draft, 'key' | 'text'> | null;
  if (kept?.key === key) {
    local.drop('draft');
    return kept.text;
  }
  const found = await attempt(undefined, (db) => db.get('drafts', key));
  return found?.text ?? '';
}

/** Keep what was typed in the last moment before the page goes. */
export function keepForReload(user: string, conversation: string, text: string): void {
  local.set('draft', JSON.stringify({ key: keyOf(user, conversation), text }));
}

export async function writeDraft(user: string, conversation: string, text: string): Promise<void> {
  const key = keyOf(user, conversation);
  await attempt(undefined, async (db) => {
    if (text.trim()) await db.put('drafts', { key, user, text, at: Date.now() });
    else await db.delete('drafts', key);
  });
}

export function readOutbox(user: string): Promise<Entry[]> {
  return attempt([], (db) => db.getAllFromIndex('outbox', 'user', user));
}

export async function writeEntry(entry: Entry): Promise<void> {
  await attempt(undefined, async (db) => void (await db.put('outbox', entry)));
}

export async function dropEntry(id: string): Promise<void> {
  await attempt(undefined, (db) => db.delete('outbox', id));
}

/** Leave nothing of anybody in this browser. */
export async function forgetEverything(): Promise<void> {
  await attempt(undefined, async (db) => {
    await db.clear('drafts');
    await db.clear('outbox');
  });
}
