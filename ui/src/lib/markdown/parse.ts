import { Marked, type Token } from 'marked';
import remend from 'remend';

/** A formula; the only thing here that is no Markdown of GitHub's. */
export interface MathToken {
  type: 'math';
  raw: string;
  tex: string;
  isBlock: boolean;
}

export type Block = Token;

// `$5 and $10` is no formula: only `$$…$$`, `\(…\)` and `\[…\]` are.
const BLOCK = /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n+|$)/;
const INLINE = /^(?:\$\$([^\n]+?)\$\$|\\\(([\s\S]+?)\\\))/;

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: [
    {
      name: 'math',
      level: 'block',
      start: (text) => indexOf(text, /(^|\n)(\$\$|\\\[)/),
      tokenizer: (text) => mathIn(BLOCK, text, true),
    },
    {
      name: 'mathInline',
      level: 'inline',
      start: (text) => indexOf(text, /\$\$|\\\(/),
      tokenizer: (text) => mathIn(INLINE, text, false),
    },
  ],
});

function indexOf(text: string, pattern: RegExp): number | undefined {
  const found = text.search(pattern);
  return found < 0 ? undefined : found;
}

function mathIn(pattern: RegExp, text: string, isBlock: boolean): MathToken | undefined {
  const found = pattern.exec(text);
  if (!found) return undefined;
  return { type: 'math', raw: found[0], tex: (found[1] ?? found[2] ?? '').trim(), isBlock };
}

/** So deep may lists and quotations stand in each other; what is deeper is shown as it is. */
export const DEEPEST = 24;

/** The blocks of a whole text. */
export function blocksOf(text: string): Block[] {
  try {
    return marked.lexer(text);
  } catch {
    // Thousands of marks inside each other: no parser follows, and no person does.
    return [{ type: 'html', raw: text, text }];
  }
}

/**
 * The blocks of a text that grows at its end.
 *
 * What stands before the last two blocks cannot change any more and is not parsed again.
 */
export class GrowingText {
  #done: Block[] = [];
  #offset = 0;

  /** Return all blocks, the same objects as before as far as they are done. */
  update(text: string): Block[] {
    const tail = text.slice(this.#offset);
    const blocks = blocksOf(tail);
    // A list or a quotation may still swallow what follows: keep the last two open.
    const settled = blocks.slice(0, -2);
    if (settled.length) {
      this.#done = [...this.#done, ...settled];
      this.#offset += settled.reduce((sum, block) => sum + block.raw.length, 0);
    }
    const open = blocks.slice(settled.length);
    const last = open.at(-1);
    if (!last || last.type === 'code' || last.type === 'math') return [...this.#done, ...open];
    // Marks that are not closed yet would stand there as characters.
    const mended = blocksOf(remend(last.raw));
    return [...this.#done, ...open.slice(0, -1), ...mended];
  }
}

const SAFE = new Set(['http:', 'https:', 'mailto:']);

/** Where a link leads, or nothing where it could do something else than lead somewhere. */
export function safeAddress(address: string): string | undefined {
  try {
    const url = new URL(address);
    return SAFE.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

export function hostOf(address: string): string {
  try {
    return new URL(address).host;
  } catch {
    return '';
  }
}

const ENTITY = /&(?:#\d+|#x[\da-f]+|\w+);/i;

/** Text with its entities (`&lt;`) as characters; it stays text. */
export function plain(text: string): string {
  if (!ENTITY.test(text)) return text;
  return new DOMParser().parseFromString(text.replaceAll('<', '&lt;'), 'text/html').body
    .textContent;
}
