import { expect, test } from 'vitest';
import { patternOf } from './marks';

const found = (words: string[], text: string) =>
  [...text.matchAll(patternOf(words) ?? /(?!)/g)].map(([each]) => each);

test('finds words as they stand in a hit, at their beginning', () => {
  expect(found(['Café'], 'A café, cafés; decafé')).toEqual(['café', 'café']);
  expect(found(['a', 'ab'], 'ab a')).toEqual(['ab', 'a']);
});

test('takes what people wrote for text, and no pattern', () => {
  expect(found(['c++ (new)'], 'In C++ (new) and c')).toEqual(['C++ (new)']);
  expect(found([' ', ''], 'nothing')).toEqual([]);
});

test('finds words of scripts without blanks anywhere', () => {
  expect(found(['日本'], '新日本語')).toEqual(['日本']);
});
