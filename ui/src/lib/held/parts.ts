import type { FilePart, Message, Part } from '#lib/api/client';

type Citation = Extract<Part, { type: 'citation' }>;
type Result = Extract<Part, { type: 'tool_result' }>;

/** What is shown of a message, from the top. */
export type Piece =
  | { type: 'words'; text: string }
  | { type: 'thinking'; part: Extract<Part, { type: 'thinking' }> }
  | { type: 'call'; part: Extract<Part, { type: 'tool_call' }>; result: Result | undefined }
  | { type: 'result'; part: Result }
  | { type: 'file'; part: FilePart }
  | { type: 'raw'; part: Extract<Part, { type: 'raw' }> }
  | { type: 'citations'; parts: Citation[] };

// The fields that a part is shown by.
const NEEDED: Record<Part['type'], readonly string[]> = {
  text: ['text'],
  thinking: [],
  tool_call: ['name'],
  tool_result: [],
  file: ['attachment_id'],
  citation: [],
  raw: ['source_type'],
};

function isPart(value: unknown): value is Part {
  if (typeof value !== 'object' || value === null) return false;
  const part = value as Record<string, unknown>;
  const needed = Object.hasOwn(NEEDED, String(part.type)) && NEEDED[part.type as Part['type']];
  return Boolean(needed) && (needed as string[]).every((name) => typeof part[name] === 'string');
}

/** A message's parts; other things that somebody keeps under this name are none. */
export function partsOf(message: Message): Part[] {
  const parts = message.parts;
  return Array.isArray(parts) && parts.every(isPart) ? parts : [];
}

/** What is shown of a message: its parts in their order, or its words alone. */
export function piecesOf(message: Message): Piece[] {
  const parts = partsOf(message);
  const pieces: Piece[] = [];
  const answered = new Set<Part>();
  const citations: Citation[] = [];
  for (const part of parts) {
    if (part.type === 'text') pieces.push({ type: 'words', text: part.text });
    else if (part.type === 'thinking') pieces.push({ type: 'thinking', part });
    else if (part.type === 'file') pieces.push({ type: 'file', part });
    else if (part.type === 'raw') pieces.push({ type: 'raw', part });
    else if (part.type === 'citation') citations.push(part);
    else if (part.type === 'tool_call') {
      const result = part.id === undefined ? undefined : resultOf(parts, part.id);
      if (result) answered.add(result);
      pieces.push({ type: 'call', part, result });
    } else if (!answered.has(part)) pieces.push({ type: 'result', part });
  }
  if (message.content && !pieces.some((each) => each.type === 'words')) {
    // Thoughts come before what was said.
    const at = pieces.findLastIndex((each) => each.type === 'thinking') + 1;
    pieces.splice(at, 0, { type: 'words', text: message.content });
  }
  if (citations.length) pieces.push({ type: 'citations', parts: citations });
  return pieces;
}

function resultOf(parts: Part[], id: string): Result | undefined {
  return parts.find((part): part is Result => part.type === 'tool_result' && part.call_id === id);
}

/** A value as text: JSON with line breaks, and words as they are. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length && value.every(isWords)) {
    return value.map((each) => each.text).join('\n');
  }
  return JSON.stringify(value, null, 2);
}

function isWords(value: unknown): value is { text: string } {
  if (typeof value !== 'object' || value === null) return false;
  const { type, text } = value as Record<string, unknown>;
  return type === 'text' && typeof text === 'string';
}
