import createClient from 'openapi-fetch';
import { t } from '#lib/words';
import { problems } from '#lib/words/problems';
import type { paths } from './schema';

export type * from './types';

interface ProblemBody {
  code?: string;
  detail?: string;
  /** The name of the limit that is reached. */
  limit?: string;
  request_id?: string;
  errors?: { loc: (string | number)[]; msg: string; type?: string }[];
}

/** The service refused, with a sentence that may be shown. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string;
  /** What is wrong with which field of the body. */
  readonly fields: Record<string, string>;
  /** Seconds after which to try again. */
  readonly retryAfter: number;

  constructor(status: number, problem: ProblemBody, retryAfter: number) {
    super(
      problem.code === 'foreign_origin'
        ? t.errors.foreignOrigin
        : problem.detail
          ? problems.sentence(problem.code ?? '', problem.detail, problem.limit)
          : t.errors.nonsense,
    );
    this.status = status;
    this.code = problem.code ?? '';
    this.requestId = problem.request_id ?? '';
    this.retryAfter = retryAfter;
    this.fields = Object.fromEntries(
      (problem.errors ?? []).map(({ loc, msg, type = '' }) => [
        String(loc.at(-1)),
        problems.field(type, msg),
      ]),
    );
  }

  /** Whether the same call may succeed later. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429;
  }
}

/** The service could not be reached. */
export class Unreachable extends Error {
  constructor() {
    super(t.errors.offline);
  }
}

type Listener = (signedOut: boolean) => void;
let listener: Listener = () => undefined;

/** Let somebody know when an answer says that nobody is signed in. */
export function onUnauthenticated(call: Listener): void {
  listener = call;
}

export async function refusalOf(response: Response, body?: unknown): Promise<Refused> {
  const problem = body ?? (await response.json().catch(() => ({})));
  const found = new Refused(
    response.status,
    (problem ?? {}) as ProblemBody,
    Number(response.headers.get('Retry-After') ?? 0),
  );
  if (found.code === 'authentication_required') listener(true);
  return found;
}

// What theme.js asked for while this was not loaded yet, by address.
type Begun = Record<string, Promise<Response | null>>;
const begun: Begun = (globalThis as { begun?: Begun }).begun ?? {};
// Later than this, in milliseconds, its answers are old.
const FRESH = 10_000;

/** Call the service; what was asked for already is not asked for again. */
async function send(request: Request): Promise<Response> {
  const address = request.url.slice(location.origin.length);
  const early = request.method === 'GET' ? begun[address] : undefined;
  if (!early) return fetch(request);
  Reflect.deleteProperty(begun, address);
  const found = performance.now() < FRESH ? await early : null;
  return found?.ok ? found : fetch(request);
}

export const api = createClient<paths>({ baseUrl: '', fetch: send });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer of a call, or what was refused thrown as an error. */
export async function ok<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await answered(call)).data as T;
}

/** The same with the headers of the answer. */
export async function answered<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw error instanceof SyntaxError ? new Error(t.errors.nonsense) : new Unreachable();
  }
  if (!answer.response.ok) throw await refusalOf(answer.response, answer.error);
  return answer;
}

/** One sentence for whoever looks at the page. */
export function sentence(error: unknown): string {
  return error instanceof Error && error.message ? error.message : t.errors.unknown;
}

/** The stable code of a refusal; empty for anything else. */
export function codeOf(error: unknown): string {
  return error instanceof Refused ? error.code : '';
}

/** A random id; `crypto.randomUUID` is not there by plain HTTP. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [8, 12, 16, 20].reduceRight((id, at) => `${id.slice(0, at)}-${id.slice(at)}`, hex);
}
