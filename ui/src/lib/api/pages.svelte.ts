import { refusalOf, sentence, Unreachable } from './client';

/** A list that is read page by page, as `Link` leads. */
export class Pages<Row> {
  rows = $state.raw<Row[]>([]);
  isLoading = $state(false);
  hasLoaded = $state(false);
  failure = $state('');
  #next = $state('');
  #path: string;

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
    await this.#read(`${this.#path}?${query.join('&')}`);
  }

  async more(): Promise<void> {
    if (this.#next && !this.isLoading) await this.#read(this.#next);
  }

  async #read(address: string): Promise<void> {
    this.isLoading = true;
    this.failure = '';
    try {
      const response = await fetch(address).catch(() => {
        throw new Unreachable();
      });
      if (!response.ok) throw await refusalOf(response);
      this.rows = [...this.rows, ...((await response.json()) as Row[])];
      this.#next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? '';
      this.hasLoaded = true;
    } catch (error) {
      this.failure = sentence(error);
    } finally {
      this.isLoading = false;
    }
  }
}
