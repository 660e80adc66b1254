import { answered, api, sentence, type Summary } from '#lib/api/client';
import { hasGap } from '#lib/live/frames';
import { gathered } from '#lib/live/gathered';
import { live } from '#lib/live/live';
import { nextOf } from '#lib/state/pages';
import { queryOf, type Filters } from './filters';

export const PAGE = 50;
// Milliseconds from one reading of what changed elsewhere to the next.
const REST = 300;
// To count them all costs more than a page of them.
const COUNT_REST = 2_000;

/** The library's list: one page of it, kept as it is on the service. */
export class Listing {
  rows = $state.raw<Summary[]>([]);
  /** Of all pages; undefined until they are counted. */
  total = $state<number>();
  failure = $state('');
  isLoading = $state(true);
  #filters: Filters | undefined;
  /** Where the pages up to this one begin. */
  #cursors = $state.raw<string[]>(['start']);
  #next = $state('');
  #readings = 0;
  readonly #closing = new AbortController();
  readonly #countSoon = gathered(() => this.#count(), COUNT_REST, this.#closing.signal);

  /** Follow what changes; returns how to stop that. */
  follow(): () => void {
    const readSoon = gathered(() => this.read(), REST, this.#closing.signal);
    const stop = live.on((frame) => {
      if (!frame.conversation_id && !hasGap(frame)) return;
      readSoon();
      this.#countSoon();
    });
    return () => {
      stop();
      this.#closing.abort();
    };
  }

  get page(): number {
    return this.#cursors.length - 1;
  }

  get hasNext(): boolean {
    return this.#next !== '';
  }

  async open(filters: Filters): Promise<void> {
    this.#filters = filters;
    this.#cursors = ['start'];
    this.total = undefined;
    this.#countSoon();
    await this.read();
  }

  async next(): Promise<void> {
    if (!this.#next) return;
    this.#cursors = [...this.#cursors, this.#next];
    await this.read();
  }

  async previous(): Promise<void> {
    if (this.#cursors.length > 1) this.#cursors = this.#cursors.slice(0, -1);
    await this.read();
  }

  /** Read the page that is shown, or the one before where nothing is left of it. */
  async read(): Promise<void> {
    if (!this.#filters) return;
    const reading = ++this.#readings;
    const cursor = this.#cursors.at(-1) ?? 'start';
    this.isLoading = true;
    try {
      const query = { ...queryOf(this.#filters), limit: PAGE, cursor };
      const { data, response } = await answered(api.GET('/conversations', { params: { query } }));
      if (reading !== this.#readings) return;
      this.failure = '';
      this.rows = data as Summary[];
      this.#next = this.rows.length === PAGE ? nextOf(response) : '';
    } catch (error) {
      if (reading !== this.#readings) return;
      this.failure = sentence(error);
    }
    this.isLoading = false;
    if (!this.rows.length && this.page > 0 && !this.failure) await this.previous();
  }

  async #count(): Promise<void> {
    const filters = this.#filters;
    if (!filters) return;
    const query = { ...queryOf(filters), limit: 1, count: true };
    const { response } = await answered(api.GET('/conversations', { params: { query } }));
    if (filters === this.#filters) this.total = Number(response.headers.get('X-Total-Count'));
  }
}
