import { expect, test } from 'vitest';
import type { Message } from '#lib/api/client';
import { hiddenFrom, isInThread, isShown } from './shown';

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

test('shows in the thread a message that cannot be read', () => {
  const lost = message({ role: 'tool', content: '', unreadable: true });
  expect(isInThread(lost, false)).toBe(true);
});

test('shows in the thread what holds something, and hidden messages once they are asked for', () => {
  expect(isInThread(message({ role: 'tool' }), false)).toBe(true);
  expect(isInThread(message({ role: 'tool', content: '' }), false)).toBe(false);
  expect(isInThread(message({ content: '', parts: [{ type: 'thinking' }] }), false)).toBe(true);
  expect(isInThread(message({ content: '', parts: ['mine'] }), false)).toBe(false);
  expect(isInThread(message({ hidden: true }), false)).toBe(false);
  expect(isInThread(message({ hidden: true }), true)).toBe(true);
});

test('counts hidden messages at the first of them', () => {
  const all = [{}, { hidden: true }, { hidden: true }, {}].map(message);
  expect([0, 1, 2, 3].map((at) => hiddenFrom(all, at))).toEqual([0, 2, 0, 0]);
});
