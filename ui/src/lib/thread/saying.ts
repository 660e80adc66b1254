// Without the end of a sentence so many characters are said in pieces all the same.
const LONG = 400;
const ENDS = /[.!?…:](?=\s)|[。！？]|\n/g;

/** How much of a text that goes on can be said now: up to the end of its last sentence. */
export function sayable(text: string): number {
  const end = [...text.matchAll(ENDS)].at(-1);
  if (end) return end.index + end[0].length;
  return text.length > LONG ? text.lastIndexOf(' ') + 1 || text.length : 0;
}

/** Markdown as it is said: its words, without its marks. */
export function plain(markdown: string): string {
  return markdown
    .replace(/^\s*(```|~~~).*$/gm, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/^\s*(#{1,6}|>|[-*+]|\|?[\s|:-]+\|?$)\s*/gm, '')
    .replace(/[*_`~|]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
