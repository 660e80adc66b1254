import { expect, test } from 'vitest';
import { limitsOf, parseLimit, shownLimit, unitName, unitOf } from './limits';

test('bytes are typed and shown in a unit that fits', () => {
  expect(parseLimit('stored_bytes', '1,5', 'gigabyte')).toBe(1_500_000_000);
  expect(parseLimit('stored_bytes', '0', 'megabyte')).toBe(0);
  expect([5e9, 2_500_000, 1024, 7, 0].map(unitOf)).toEqual([
    ...['gigabyte', 'megabyte', 'kilobyte', 'byte', 'byte'],
  ]);
  expect(shownLimit('stored_bytes', 5e9)).toBe('5 GB');
  expect(unitName('megabyte')).toBe('MB');
});

test.each(['-1', '1.5', 'many', '1e3', ''])('%s is no number of requests', (typed) => {
  expect(parseLimit('reads_per_minute', typed, 'byte')).toBeNaN();
});

test('an API key has no limits that are counted by user', () => {
  expect(limitsOf(true)).not.toContain('stored_bytes');
  expect(limitsOf(false)).toContain('tokens_per_day');
});
