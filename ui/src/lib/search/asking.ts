import { api, ok, type Found } from '#lib/api/client';

/** What is searched beside the words; empty texts are no conditions. */
export interface Conditions {
  tag: string;
  category: string;
  agent_id: string;
  status: string;
  role: string;
  /** Days, as a date field has them. */
  from: string;
  to: string;
}

export const NO_CONDITIONS: Conditions = {
  tag: '',
  category: '',
  agent_id: '',
  status: '',
  role: '',
  from: '',
  to: '',
};

export interface Asked {
  words: string;
  conditions?: Conditions;
  conversation?: string;
  /** A key was pressed; the next may follow. */
  isTyping?: boolean;
  cursor?: string | null;
  limit?: number;
}

export interface Answer {
  results: Found[];
  total: number;
  about: boolean;
  indexed: number;
  next_cursor: string | null;
}

/** The beginning of a day of a date field, or of one so many days later, as the service reads it. */
export function startOf(day: string, later = 0): string {
  const date = new Date(`${day}T00:00`);
  date.setDate(date.getDate() + later);
  return date.toISOString();
}

/** Search once. */
export function search(asked: Asked, signal?: AbortSignal): Promise<Answer> {
  const { from = '', to = '', ...given } = asked.conditions ?? {};
  const conditions = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
  const query = {
    q: asked.words,
    // Also of an address that is opened later: it shows what was found while it was typed.
    typing: true,
    ...conditions,
    ...(from ? { from: startOf(from) } : {}),
    ...(to ? { to: startOf(to, 1) } : {}),
    ...(asked.conversation ? { conversation_id: asked.conversation } : {}),
    ...(asked.cursor ? { cursor: asked.cursor } : {}),
    ...(asked.limit ? { limit: asked.limit } : {}),
  };
  return ok(api.GET('/search', { params: { query }, ...(signal ? { signal } : {}) }));
}

/** Where a hit is shown in its conversation, marked; without a place, the conversation itself. */
export function placeOf(conversation: string, words: string, seq?: number): string {
  const path = `/c/${conversation}?q=${encodeURIComponent(words)}`;
  return seq === undefined ? path : `${path}#${seq}`;
}

/** The address of a search with all its results. */
export function addressOf(words: string, conditions: Partial<Conditions> = {}): string {
  const given = Object.entries({ q: words.trim(), ...conditions }).filter(([, value]) => value);
  const query = new URLSearchParams(given).toString();
  return query ? `/find?${query}` : '/find';
}
