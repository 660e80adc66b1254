import type { Summary } from '#lib/api/client';

/** The colours that a conversation can have, by the names that its metadata holds. */
export const COLOURS = ['red', 'orange', 'yellow', 'green', 'teal', 'blue', 'purple', 'pink'];
// Characters of an emoji, some of which are made of several.
const MOST = 16;

/** A colour and an emoji of a person's own choice. */
export interface Look {
  colour: string;
  emoji: string;
}

/** What a conversation's metadata say of its look; empty for nothing. */
export function lookOf(row: Pick<Summary, 'metadata'>): Look {
  const { color, emoji } = row.metadata as Record<string, unknown>;
  return {
    colour: typeof color === 'string' && COLOURS.includes(color) ? color : '',
    emoji: typeof emoji === 'string' ? emoji.slice(0, MOST) : '',
  };
}
