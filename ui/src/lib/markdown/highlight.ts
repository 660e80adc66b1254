import type { HLJSApi } from 'highlight.js';

// Beyond this, colours cost more than they help.
const MOST = 40_000;
let loading: Promise<HLJSApi> | undefined;

/** Colour some code; nothing where the language is not known, or the code is very long. */
export async function highlight(code: string, language: string): Promise<string | undefined> {
  const name =
    language
      .trim()
      .toLowerCase()
      .split(/[\s{,:]/)[0] ?? '';
  if (!name || code.length > MOST) return undefined;
  loading ??= import('highlight.js/lib/common').then((found) => found.default);
  const hljs = await loading;
  if (!hljs.getLanguage(name)) return undefined;
  return hljs.highlight(code, { language: name, ignoreIllegals: true }).value;
}
