import { refusalOf, sentence, Unreachable } from './client';

/** A list that is read page by page, as `Link` leads. */
export class Pages<Row> {
  rows = $state.raw<Row[]>([]);
  isLoading = $state(false);
  hasLoaded = $state(false);
  failure = $state('');
  #next = $state('');
  #path: string;
  #first = '';

  constructor(path: string) {
    this.#path = path;
  }

  get hasMore(): boolean {
    return this.#next !== '';
  }

  /** Read the first page, with these filters. */
  async open(filters: Record<string, string> = {}): Promise<void> {
    const query = Object.entries(filters)
      .filter(([, value]) => value)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    this.rows = [];
    this.#first = `${this.#path}?${query.join('&')}`;
    await this.#read(this.#first);
  }

  /** Read the first page again, and show it in place of what there is. */
  async again(): Promise<void> {
    if (this.#first && !this.isLoading) await this.#read(this.#first, true);
  }

  async more(): Promise<void> {
    if (this.#next && !this.isLoading) await this.#read(this.#next);
  }

  async #read(address: string, isFresh = false): Promise<void> {
    this.isLoading = true;
    this.failure = '';
    try {
      const response = await fetch(address).catch(() => {
        throw new Unreachable();
      });
      if (!response.ok) throw await refusalOf(response);
      const found = (await response.json()) as Row[];
      this.rows = isFresh ? found : [...this.rows, ...found];
      this.#next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? '';
      this.hasLoaded = true;
    } catch (error) {
      this.failure = sentence(error);
    } finally {
      this.isLoading = false;
    }
  }
}
