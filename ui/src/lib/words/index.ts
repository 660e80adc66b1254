import { en } from './en';
import { language } from './language.svelte';
import { translated } from './translated';

/** The words of the first screens. */
export const t = translated('t', en);

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

export function number(value: number): string {
  return language.formats.number.format(value);
}

export function shortNumber(value: number): string {
  return language.formats.compact.format(value);
}

/** The time of day, or the day where it is another one. */
export function when(instant: string): string {
  const date = new Date(instant);
  const { time, moment } = language.formats;
  return (isSameDay(date, new Date()) ? time : moment).format(date);
}

export function dayOf(instant: string): string {
  return language.formats.date.format(new Date(instant));
}

export function exactly(instant: string): string {
  return language.formats.exact.format(new Date(instant));
}

/** "3 minutes ago". */
export function ago(instant: string): string {
  const { relative } = language.formats;
  const seconds = (new Date(instant).getTime() - Date.now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(0, 'minute');
}

/** "One, two, and three". */
export function list(parts: readonly string[]): string {
  return language.formats.list.format(parts);
}

/** Under which heading of the sidebar something stands that changed then. */
export function periodOf(instant: string, now = new Date()): string {
  const date = new Date(instant);
  const start = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const days = (start - date.getTime()) / 86_400_000;
  if (days <= 0) return t.sidebar.today;
  if (days <= 1) return t.sidebar.yesterday;
  if (days <= 7) return t.sidebar.week;
  if (days <= 30) return t.sidebar.month;
  return language.formats.month.format(date);
}

function isSameDay(one: Date, other: Date): boolean {
  return one.toDateString() === other.toDateString();
}

/** The last days up to today as the service names them, in UTC: `2026-11-21`. */
export function lastDays(count: number, now = Date.now()): string[] {
  return Array.from({ length: count }, (_, index) =>
    new Date(now - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10),
  );
}
