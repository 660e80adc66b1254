import { startOf } from '#lib/search/asking';

/** Which conversations the library lists, and in which order; empty texts are no conditions. */
export interface Filters {
  status: string;
  agent: string;
  category: string;
  tags: string[];
  pinned: string;
  /** Days, as a date field has them. */
  from: string;
  to: string;
  sort: string;
}

/** The filters that an address names. */
export function filtersOf(query: {
  get: (name: string) => string | null;
  getAll: (name: string) => string[];
}): Filters {
  const get = (name: string) => query.get(name) ?? '';
  return {
    status: get('status'),
    agent: get('agent'),
    category: get('category'),
    tags: query.getAll('tag'),
    pinned: get('pinned'),
    from: get('from'),
    to: get('to'),
    sort: get('sort'),
  };
}

/** The address that names some filters. */
export function libraryAddress({ tags, ...others }: Filters): string {
  const pairs = [...Object.entries(others), ...tags.map((tag) => ['tag', tag] as const)];
  const query = new URLSearchParams(pairs.filter(([, value]) => value).map(([...each]) => each));
  return query.size ? `/library?${query.toString()}` : '/library';
}

/** What the service is asked for by some filters. */
export function queryOf(filters: Filters) {
  const { sort } = filters;
  return {
    view: 'summary',
    ...conditionsOf(filters),
    ...(sort ? { sort: sort as 'title' } : {}),
  };
}

/** The conditions of some filters, by their names on the service. */
export function conditionsOf(filters: Filters) {
  const { status, agent, category, tags, pinned, from, to } = filters;
  return {
    ...(status ? { status: status as 'active' } : {}),
    ...(agent ? { agent_id: agent } : {}),
    ...(category ? { category } : {}),
    ...(tags.length ? { tag: tags } : {}),
    ...(pinned ? { pinned: pinned === 'yes' } : {}),
    ...(from ? { updated_from: startOf(from) } : {}),
    ...(to ? { updated_to: startOf(to, 1) } : {}),
  };
}
