import { en, type Words } from './en';

/** The words of the page. English is the one language so far; others are files typed by it. */
export const t: Words = en;

const LOCALE = 'en';
const numbers = new Intl.NumberFormat(LOCALE);
const compact = new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });
const full = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'medium' });
const month = new Intl.DateTimeFormat(LOCALE, { month: 'long', year: 'numeric' });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto' });

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

export function number(value: number): string {
  return numbers.format(value);
}

export function shortNumber(value: number): string {
  return compact.format(value);
}

/** The time of day, or the day where it is another one. */
export function when(instant: string): string {
  const date = new Date(instant);
  return isSameDay(date, new Date())
    ? clock.format(date)
    : `${day.format(date)}, ${clock.format(date)}`;
}

export function dayOf(instant: string): string {
  return day.format(new Date(instant));
}

export function exactly(instant: string): string {
  return full.format(new Date(instant));
}

/** "3 minutes ago". */
export function ago(instant: string): string {
  const seconds = (new Date(instant).getTime() - Date.now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(0, 'minute');
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
  return month.format(date);
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
