import { api, newId, ok, type Batch, type BatchBody, type Summary } from '#lib/api/client';
import { pause } from '#lib/api/waiting';
import { conditionsOf, type Filters } from './filters';

// The most conversations that a request names, and milliseconds between two looks at a job.
const MOST_NAMED = 1_000;
const LOOKS = [300, 700, 1_500];

/** What is done with many conversations. */
export type Action =
  | { name: 'archive' | 'unarchive' | 'pin' | 'unpin' | 'trash' | 'restore' }
  | { name: 'tag' | 'untag'; tag: string }
  | { name: 'move'; category: string | null };

/** Some conversations, as they are, or all that match some filters. */
export type Which = { rows: readonly Summary[] } | { filters: Filters; total: number };

/** Takes back what was done. */
export type Undo = (work: Work) => Promise<Outcome>;

export interface Outcome {
  changed: number;
  /** How many could not be changed, and the ids of the first of them. */
  failed: number;
  failures: string[];
  /** The code of the error of one of them, or of all. */
  code: string;
  isCancelled: boolean;
  /** Absent where nothing can be taken back. */
  undo: Undo | null;
}

/** Some work that is under way: it is told how far it is, and may be cancelled. */
export interface Work {
  show: (done: number, total: number) => void;
  readonly isCancelled: boolean;
}

const INVERSE = {
  archive: 'unarchive',
  unarchive: 'archive',
  pin: 'unpin',
  unpin: 'pin',
  trash: 'restore',
  restore: 'trash',
  tag: 'untag',
  untag: 'tag',
} as const;

/** Do the same with many conversations: at once if they are few, else as a job of the service. */
export async function changeAll(which: Which, action: Action, work: Work): Promise<Outcome> {
  if ('filters' in which) {
    return sum(
      await run([{ ...bodyOf(action), filter: conditionsOf(which.filters) }], work),
      (each) => undoOf(each),
    );
  }
  const { rows } = which;
  const ids = rows.map(({ id }) => id);
  const done = await run(named(ids, action), work);
  return sum(done, (each) => undoOf(each, { action, rows }));
}

function bodyOf(action: Action): BatchBody {
  const made = { action: action.name } as BatchBody;
  if ('tag' in action) made.tags = [action.tag];
  if ('category' in action) made.category_id = action.category;
  return made;
}

function named(ids: string[], action: Action): BatchBody[] {
  const parts = [];
  for (let start = 0; start < ids.length; start += MOST_NAMED) {
    parts.push({ ...bodyOf(action), ids: ids.slice(start, start + MOST_NAMED) });
  }
  return parts;
}

/** Do one after another; none of the others once it is cancelled. */
async function run(bodies: BatchBody[], work: Work): Promise<Batch[]> {
  const params = () => ({ header: { 'Idempotency-Key': newId() } });
  return follow(
    bodies.map((body) => ({
      of: body.ids?.length ?? 0,
      begin: () => ok(api.POST('/conversations:batch', { params: params(), body })),
    })),
    work,
  );
}

async function follow(
  parts: { of: number; begin: () => Promise<Batch> }[],
  work: Work,
): Promise<Batch[]> {
  const ended: Batch[] = [];
  const all = parts.reduce((total, { of }) => total + of, 0);
  for (const { begin } of parts) {
    if (work.isCancelled) break;
    const before = ended.reduce((total, { done }) => total + done, 0);
    const batch = await end(await begin(), work, ({ done, total }) => {
      work.show(before + done, Math.max(all, total));
    });
    ended.push(batch);
  }
  return ended;
}

/** Wait for the end of a job. */
async function end(begun: Batch, work: Work, show: (batch: Batch) => void): Promise<Batch> {
  let batch = begun;
  let isAsked = false;
  show(batch);
  for (let looks = 0; batch.id && ['waiting', 'running'].includes(batch.state); looks++) {
    await pause(LOOKS[Math.min(looks, LOOKS.length - 1)] ?? 0);
    const path = { batch_id: batch.id };
    if (work.isCancelled && !isAsked) {
      const header = { 'Idempotency-Key': newId() };
      isAsked = true;
      batch = await ok(api.POST('/batches/{batch_id}/cancel', { params: { path, header } }));
    } else batch = await ok(api.GET('/batches/{batch_id}', { params: { path } }));
    show(batch);
  }
  return batch;
}

function sum(batches: Batch[], undoOne: (batch: Batch) => Undo | null): Outcome {
  const undos = batches.filter(({ changed }) => changed).map((each) => undoOne(each));
  const failed = batches.flatMap((batch) => Object.entries(batch.failed));
  const failures = batches.flatMap((batch) => batch.failures.map(({ id }) => id));
  const isWhole = undos.length > 0 && undos.every((undo) => undo !== null);
  return {
    changed: batches.reduce((total, { changed }) => total + changed, 0),
    failed: failed.reduce((total, [, count]) => total + count, 0),
    failures,
    code: batches.find(({ code }) => code)?.code ?? failed[0]?.[0] ?? '',
    isCancelled: batches.some(({ state }) => state === 'cancelled'),
    undo: isWhole ? (work) => undoAll(undos.toReversed(), work) : null,
  };
}

async function undoAll(undos: Undo[], work: Work): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const undo of undos) outcomes.push(await undo(work));
  return {
    changed: outcomes.reduce((total, { changed }) => total + changed, 0),
    failed: outcomes.reduce((total, { failed }) => total + failed, 0),
    failures: outcomes.flatMap(({ failures }) => failures),
    code: outcomes.find(({ code }) => code)?.code ?? '',
    isCancelled: false,
    undo: null,
  };
}

/** What takes one back: of a job the service knows what it changed, else the answer told the ids. */
function undoOf(batch: Batch, done?: { action: Action; rows: readonly Summary[] }): Undo | null {
  const { id, changed_ids: ids } = batch;
  if (id) {
    const params = () => ({ path: { batch_id: id }, header: { 'Idempotency-Key': newId() } });
    const begin = () => ok(api.POST('/batches/{batch_id}/undo', { params: params() }));
    return async (work) => sum(await follow([{ of: 0, begin }], work), () => null);
  }
  if (!ids || !done) return null;
  const bodies = inverseOf(ids, done.action, done.rows);
  return async (work) => sum(await run(bodies, work), () => null);
}

function inverseOf(ids: string[], action: Action, rows: readonly Summary[]): BatchBody[] {
  if (action.name !== 'move') {
    const inverse = { ...action, name: INVERSE[action.name] } as Action;
    return named(ids, inverse);
  }
  const categories = new Map(rows.map((row) => [row.id, row.category_id ?? null]));
  const formerly = Map.groupBy(ids, (id) => categories.get(id) ?? null);
  return [...formerly].flatMap(([category, some]) => named(some, { name: 'move', category }));
}
