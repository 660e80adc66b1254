import { expect, test } from 'vitest';
import type { Message } from '#lib/api/client';
import { isShown } from './shown';

function message(more: Partial<Message>): Message {
  return {
    id: 'm',
    seq: 0,
    role: 'assistant',
    content: 'Hi',
    timestamp: '2026-11-21T10:00:00.000Z',
    ...more,
  };
}

test('shows what has words, or is on its way', () => {
  expect(isShown(message({}))).toBe(true);
  expect(isShown(message({ content: '' }))).toBe(true);
  expect(isShown(message({ parts: [{ type: 'thinking' }] }))).toBe(true);
});

test('does not show hidden messages and steps without words', () => {
  expect(isShown(message({ hidden: true }))).toBe(false);
  expect(isShown(message({ hidden: 'yes' }))).toBe(true);
  expect(isShown(message({ role: 'tool' }))).toBe(false);
  expect(isShown(message({ content: '', parts: [{ type: 'thinking' }] }))).toBe(false);
});
