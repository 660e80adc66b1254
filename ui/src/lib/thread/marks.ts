/** The name that styles know the marks by. */
const NAME = 'found';
// Scripts that put no blanks between words.
const WITHOUT_BLANKS =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/** What finds words where they stand as they do in a hit; nothing for no words. */
export function patternOf(words: readonly string[]): RegExp | undefined {
  const distinct = [...new Set(words.map((each) => each.trim().toLowerCase()))].filter(Boolean);
  if (!distinct.length) return undefined;
  // The longest first: the first alternative that fits is taken.
  const parts = distinct.sort((a, b) => b.length - a.length).map(partOf);
  return new RegExp(parts.join('|'), 'giu');
}

function partOf(word: string): string {
  const plain = word.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return WITHOUT_BLANKS.test(word) ? plain : `(?<![\\p{L}\\p{N}_])${plain}`;
}

/**
 * Mark words in some messages, for as long as they are shown; returns how to stop that.
 *
 * The browser paints over the text: the messages themselves are not changed.
 */
export function markWords(
  pane: HTMLElement,
  seqs: readonly number[],
  words: readonly string[],
): () => void {
  const pattern = patternOf(words);
  if (!pattern || typeof Highlight === 'undefined') return () => undefined;
  const paint = () => {
    const ranges = seqs.flatMap((seq) => {
      const article = pane.querySelector(`[data-seq="${seq}"]`);
      return article ? rangesIn(article, pattern) : [];
    });
    CSS.highlights.set(NAME, new Highlight(...ranges));
  };
  let frame = requestAnimationFrame(paint);
  const watching = new MutationObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(paint);
  });
  watching.observe(pane, { childList: true, characterData: true, subtree: true });
  return () => {
    cancelAnimationFrame(frame);
    watching.disconnect();
    CSS.highlights.delete(NAME);
  };
}

function rangesIn(article: Element, pattern: RegExp): Range[] {
  const ranges: Range[] = [];
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement?.closest('footer, .unseen')
      ? NodeFilter.FILTER_REJECT
      : NodeFilter.FILTER_ACCEPT,
  );
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const found of (node.nodeValue ?? '').matchAll(pattern)) {
      const range = new Range();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}
