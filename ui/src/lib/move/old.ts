/** What the old page kept in its localStorage. */
export const OLD_KEYS = ['ai-chat-conversations', 'ai-mcp-ui-config'] as const;
/** What the service takes at once. */
export const MOST_BYTES = 32 * 1024 * 1024;

/** Something to import: where it comes from, and what it is. */
export interface Source {
  name: string;
  data: Blob;
  /** It lies in this browser, under our own address. */
  isHere?: boolean;
}

/** What lies in this browser, where the page is served under the old page's address. */
export function foundHere(): Source | undefined {
  try {
    const values = OLD_KEYS.map((key) => [key, localStorage.getItem(key)] as const);
    const found = values.filter(([, value]) => value !== null);
    if (!found.length) return undefined;
    return {
      name: location.host,
      data: new Blob([JSON.stringify(Object.fromEntries(found))]),
      isHere: true,
    };
  } catch {
    return undefined;
  }
}

export function clearHere(): void {
  for (const key of OLD_KEYS) localStorage.removeItem(key);
}

/**
 * A bookmark that is used on the old page: it opens this one and hands the old keys over.
 *
 * The word in the address is new each time; only who knows it is listened to.
 */
export function bookmarkFor(origin: string): string {
  const code = `(()=>{const o=${JSON.stringify(origin)},w=[...crypto.getRandomValues(new Uint8Array(16))].map(b=>b.toString(16)).join(""),p=open(o+"/move?from="+w,"_blank","popup,width=900,height=760");addEventListener("message",e=>{if(e.origin===o&&e.source===p&&e.data&&e.data.word===w){const v={};for(const k of ${JSON.stringify(OLD_KEYS)}){const x=localStorage.getItem(k);if(x!==null)v[k]=x}p.postMessage({word:w,values:v},o)}})})()`;
  return `javascript:${encodeURIComponent(code)}`;
}

/** Listen to the page that opened this one by the bookmark; returns how to stop. */
export function receiveFrom(word: string, take: (source: Source) => void): () => void {
  const opener = window.opener as Window | null;
  if (!opener || !word) return () => undefined;
  const listen = (event: MessageEvent) => {
    const data = event.data as { word?: string; values?: Record<string, unknown> } | null;
    if (event.source !== opener || data?.word !== word || !data.values) return;
    const known = OLD_KEYS.filter((key) => typeof data.values?.[key] === 'string');
    if (!known.length) return;
    const values = Object.fromEntries(known.map((key) => [key, data.values?.[key]]));
    take({ name: event.origin, data: new Blob([JSON.stringify(values)]) });
  };
  addEventListener('message', listen);
  // It says nothing but the word, which the opener made itself.
  opener.postMessage({ word }, '*');
  return () => {
    removeEventListener('message', listen);
  };
}
