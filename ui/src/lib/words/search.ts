import { translated } from './translated';

/** English of searching. */
const english = {
  title: 'Search',
  label: 'Search words',
  placeholder: 'Words of messages and titles',
  hint: 'Find "a phrase", leave out with -word, look in titles with title:word, or write the beginning of a word and an asterisk.',
  hits: 'Results',
  nothing: (words: string) => `Nothing has “${words}”.`,
  total: (count: number, shown: string, isAbout: boolean) =>
    `${isAbout ? 'About ' : ''}${shown} ${count === 1 ? 'hit' : 'hits'}`,
  building: (percent: number) =>
    `The index is being built: ${percent} % of your messages are searched so far.`,
  notIndexed: (percent: number) =>
    `The service has no index of words, so only titles and your newest messages are searched (${percent} %). An operator installs chatvault-server[search].`,
  inTitle: 'In the title',
  roles: { user: 'You', assistant: 'Assistant', system: 'System', tool: 'Tool' } as Record<
    string,
    string
  >,
  all: 'All results, with filters',
  more: 'More results',
  keys: 'Arrow keys choose, Enter opens',
  filters: {
    title: 'Filters',
    clear: 'Clear filters',
    tag: 'Tag',
    anyTag: 'Any tag',
    category: 'Category',
    anyCategory: 'Any category',
    assistant: 'Assistant',
    anyAssistant: 'Any assistant',
    status: 'Conversations',
    anyStatus: 'All',
    active: 'Active',
    archived: 'Archived',
    role: 'Written by',
    anyRole: 'Anybody',
    from: 'From',
    to: 'To',
  },
  bar: {
    label: 'Hits in this conversation',
    place: (now: string, all: string) => `${now} of ${all}`,
    none: 'No hits here',
    count: (all: string) => `${all} here`,
    earlier: 'Earlier hit',
    later: 'Later hit',
    close: 'Close the search',
    elsewhere: 'This message is on another branch.',
    show: 'Show that branch',
  },
};
export const inSearch = translated('inSearch', english);
