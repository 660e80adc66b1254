import { answered, api, type Summary } from '#lib/api/client';

export const PAGE = 100;

interface Page {
  rows: Summary[];
  /** Of all pages. */
  total: number;
  /** Where the next one begins; empty at the end. */
  next: string;
}

/** Read a page of active conversations, newest change first. */
export async function readPage(cursor: string): Promise<Page> {
  const query = { view: 'summary', status: 'active', limit: PAGE, cursor } as const;
  const { data, response } = await answered(api.GET('/conversations', { params: { query } }));
  const rows = data as Summary[];
  const total = Number(response.headers.get('X-Total-Count') ?? rows.length);
  return { rows, total, next: nextOf(response) };
}

/** The cursor that a page's `Link` leads on with. */
export function nextOf(response: Response): string {
  return (
    /[?&]cursor=([\w-]+)[^>]*>; rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? ''
  );
}

/** Read pages from the newest on, until they have so many conversations. */
export async function readPages(count: number): Promise<Page> {
  // One that changes meanwhile may be on two pages.
  const found = new Map<string, Summary>();
  let page = await readPage('start');
  for (;;) {
    for (const row of page.rows) found.set(row.id, row);
    if (!page.next || found.size >= count) break;
    page = await readPage(page.next);
  }
  return { ...page, rows: [...found.values()] };
}
