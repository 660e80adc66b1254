import { number } from '#lib/words';
import { language } from '#lib/words/language.svelte';
import { sizeOf } from '#lib/words/thread';

/** The limits in the order that they are shown. */
export const LIMITS = [
  'reads_per_minute',
  'writes_per_minute',
  'searches_per_minute',
  'exports_per_minute',
  'messages_per_day',
  'tokens_per_day',
  'stored_bytes',
] as const;
export type LimitName = (typeof LIMITS)[number];
// An API key has no limit of these: they are counted by user.
const NOT_OF_KEYS: readonly LimitName[] = ['stored_bytes', 'tokens_per_day'];

/** Sizes that a limit of bytes is typed in. */
export const UNITS = { gigabyte: 1e9, megabyte: 1e6, kilobyte: 1e3, byte: 1 } as const;
export type Unit = keyof typeof UNITS;

export function limitsOf(isOfKey: boolean): readonly LimitName[] {
  return isOfKey ? LIMITS.filter((name) => !NOT_OF_KEYS.includes(name)) : LIMITS;
}

/** Return how a limit is read: `1,000`, or `5 GB`. */
export function shownLimit(name: LimitName, value: number): string {
  return name === 'stored_bytes' ? sizeOf(value) : number(value);
}

/** Return the name of a unit in the language of the page: `GB`. */
export function unitName(unit: Unit): string {
  const format = new Intl.NumberFormat(language.locale, {
    style: 'unit',
    unit,
    unitDisplay: unit === 'byte' ? 'long' : 'short',
  });
  return format.formatToParts(2).find(({ type }) => type === 'unit')?.value ?? unit;
}

/** Return the largest unit in which a number of bytes has at most three decimals. */
export function unitOf(bytes: number): Unit {
  const units = Object.keys(UNITS) as Unit[];
  return units.find((unit) => bytes >= UNITS[unit] && bytes % (UNITS[unit] / 1000) === 0) ?? 'byte';
}

/** Return what was typed as a number of the limit's own unit; NaN where it is none. */
export function parseLimit(name: LimitName, typed: string, unit: Unit): number {
  const text = typed.trim().replace(',', '.');
  if (name !== 'stored_bytes') return /^\d+$/.test(text) ? Number(text) : NaN;
  return /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * UNITS[unit]) : NaN;
}
