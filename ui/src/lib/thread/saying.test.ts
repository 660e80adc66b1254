import { expect, test } from 'vitest';
import { plain, sayable } from './saying';

test('is said up to the end of the last sentence', () => {
  const text = 'The first. The second! The thi';
  expect(text.slice(0, sayable(text))).toBe('The first. The second!');
  expect(sayable('No end yet')).toBe(0);
  expect(sayable('3.14 is no end')).toBe(0);
  expect(sayable('一つ目。二つ')).toBe(4);
});

test('does not wait for ever for an end', () => {
  const text = 'word '.repeat(100) + 'wo';
  expect(text.slice(sayable(text))).toBe('wo');
  expect(sayable('a'.repeat(500))).toBe(500);
});

test('is said without the marks of Markdown', () => {
  expect(plain('## The **fjord** [there](https://x.org), `code`')).toBe('The fjord there, code');
  expect(plain('- one\n- two\n')).toBe('one two');
  expect(plain('| a | b |\n|---|---|\n| 1 | 2 |')).toBe('a b 1 2');
  expect(plain('```js\nlet x;\n```')).toBe('let x;');
});
