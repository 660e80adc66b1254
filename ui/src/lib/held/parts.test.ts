import { expect, test } from 'vitest';
import type { Message } from '#lib/api/client';
import { partsOf, piecesOf, textOf } from './parts';

function message(parts: unknown, content = ''): Message {
  const timestamp = '2026-11-21T10:00:00.000Z';
  return { id: 'm', seq: 0, role: 'assistant', content, timestamp, parts };
}

test('takes for parts what has their shape, and nothing else', () => {
  expect(partsOf(message(['Hi']))).toEqual([]);
  expect(partsOf(message('none'))).toEqual([]);
  expect(partsOf(message([{ type: 'text' }]))).toEqual([]);
  expect(partsOf(message([{ type: 'constructor' }]))).toEqual([]);
  expect(partsOf(message([{ type: 'thinking' }]))).toHaveLength(1);
});

test('puts words after the thoughts, a result to its call, and citations at the end', () => {
  const parts = [
    { type: 'citation', title: 'Fjords' },
    { type: 'thinking', text: 'Hm' },
    { type: 'tool_call', id: 'c', name: 'find', input: {} },
    { type: 'tool_result', call_id: 'c', output: 'found' },
    { type: 'tool_result', call_id: 'other', output: 'found' },
  ];
  const types = piecesOf(message(parts, 'Here')).map((each) => each.type);
  expect(types).toEqual(['thinking', 'words', 'call', 'result', 'citations']);
});

test('shows text parts in their order, and not the content again', () => {
  const parts = [
    { type: 'text', text: 'One' },
    { type: 'file', attachment_id: 'f' },
    { type: 'text', text: 'Two' },
  ];
  const types = piecesOf(message(parts, 'One\nTwo')).map((each) => each.type);
  expect(types).toEqual(['words', 'file', 'words']);
});

test('writes values as text', () => {
  expect(textOf('{"a": 1}')).toBe('{"a": 1}');
  expect(textOf([{ type: 'text', text: 'Hi' }])).toBe('Hi');
  expect(textOf({ a: 1 })).toBe('{\n  "a": 1\n}');
});
