import { expect, test } from 'vitest';
import { blocksOf, GrowingText, safeAddress } from './parse';

const kinds = (text: string) => blocksOf(text).map(({ type }) => type);

test('takes dollars for formulas only where there are two', () => {
  expect(kinds('It costs $5 and $10.')).toEqual(['paragraph']);
  expect(kinds('$$x^2$$\n\ntext')).toEqual(['math', 'paragraph']);
  expect(kinds('\\[x^2\\]')).toEqual(['math']);
  const [paragraph] = blocksOf('so \\(x\\) and $$y$$');
  expect(paragraph && 'tokens' in paragraph && paragraph.tokens?.map(({ type }) => type)).toEqual([
    'text',
    'math',
    'text',
    'math',
  ]);
});

test('parses only the end of a text that grows', () => {
  const text = '# One\n\nTwo **bold** words.\n\n- a\n- b\n\n```js\nlet x = 1;\n```\n\nThe end.';
  const growing = new GrowingText();
  let blocks = growing.update('');
  for (let end = 1; end <= text.length; end++) blocks = growing.update(text.slice(0, end));
  const shown = blocks.filter(({ type }) => type !== 'space');
  expect(shown.map(({ raw }) => raw.trim())).toEqual(
    blocksOf(text)
      .filter(({ type }) => type !== 'space')
      .map(({ raw }) => raw.trim()),
  );
});

test('closes marks that are still open', () => {
  const [paragraph] = new GrowingText().update('Some **bold wor');
  expect(paragraph && 'tokens' in paragraph && paragraph.tokens?.at(-1)?.type).toBe('strong');
});

test('survives what nobody can read', () => {
  expect(blocksOf('> '.repeat(20_000)).length).toBeGreaterThan(0);
  expect(blocksOf('['.repeat(20_000)).length).toBeGreaterThan(0);
});

test('knows which addresses only lead somewhere', () => {
  expect(safeAddress('https://example.org/a b')).toBe('https://example.org/a%20b');
  expect(safeAddress('mailto:a@example.org')).toBeDefined();
  for (const bad of ['javascript:alert(1)', 'data:text/html,x', ' jav\tascript:x', '/c/1', 'x']) {
    expect(safeAddress(bad)).toBeUndefined();
  }
});
