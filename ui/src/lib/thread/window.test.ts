import { expect, test } from 'vitest';
import type { Message } from '#lib/api/client';
import { inserted, MOST, reread, withoutFar } from './window';

function message(seq: number, content = ''): Message {
  return { id: `m${seq}`, seq, role: 'user', content, timestamp: '2026-11-21T10:00:00.000Z' };
}

const run = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => message(from + index));

test('keeps at most so many, and drops those furthest away', () => {
  expect(withoutFar(run(0, MOST + 40), 'older').at(0)?.seq).toBe(40);
  expect(withoutFar(run(0, MOST + 40), 'newer').at(-1)?.seq).toBe(MOST - 1);
  expect(withoutFar(run(0, 3), 'older')).toHaveLength(3);
});

test('puts a message in its place, once', () => {
  const messages = [message(1), message(3)];
  expect(inserted(messages, message(4), false).map(({ seq }) => seq)).toEqual([1, 3, 4]);
  expect(inserted(messages, message(2), false).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(inserted(messages, message(3, 'new'), false).at(1)?.content).toBe('new');
});

test('leaves out what stands behind messages that are not shown', () => {
  expect(inserted([message(1)], message(9), true)).toHaveLength(1);
});

test('keeps what did not change as it is, and what somebody works on', () => {
  const before = [message(1), message(2), message(3)];
  const now = reread(before, [message(1), message(3, 'new'), message(4)], ['m2']);
  expect(now.map(({ seq, content }) => [seq, content])).toEqual([
    [1, ''],
    [2, ''],
    [3, 'new'],
    [4, ''],
  ]);
  expect(now[0]).toBe(before[0]);
  expect(reread(before, [message(1)], [])).toHaveLength(1);
});
