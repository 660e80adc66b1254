import { afterEach, describe, expect, test, vi } from 'vitest';
import { LANGUAGES, language, localeOf, match, type Tag } from './language.svelte';
import { exactly, list, number, periodOf, t } from './index';
import { actionOf, resourceOf } from './log';
import { inOrder } from './order';
import { problems } from './problems';
import { placeOf, reasonOf } from './reasons';
import { sizeOf } from './thread';

type Words = Record<string, unknown>;
type Leaf = string | ((...given: unknown[]) => string);

// What is called the same in every language, and more than that: words that are marks or figures.
const NAMES = new Set([
  ...['chatvault', 'Markdown', 'HTML', 'PDF', 'JSON', 'NDJSON', 'OpenAI', 'ShareGPT'],
  ...['Ctrl', 'Shift', 'Esc', 'Emoji', 'Tokens', '⟨0⟩ ms', '⟨0⟩ s', '⟨0⟩ tokens'],
]);
const MOST_ALIKE = 0.05;
const OTHERS = (Object.keys(LANGUAGES) as Tag[]).filter((tag) => tag !== 'en');

const english = gather(
  import.meta.glob<Words>('./*.ts', { eager: true }),
  /\/(en|language.*)\.ts$/,
);
const translations = Object.fromEntries(
  Object.entries(import.meta.glob<Words>('./??/{first,rest,service}.ts', { eager: true })).reduce(
    (found, [path, words]) => {
      const tag = path.slice(2, 4);
      return found.set(tag, { ...found.get(tag), ...leavesOf(words) });
    },
    new Map<string, Record<string, Leaf>>(),
  ),
);

/** The leaves of all dictionaries that modules export, by their paths. */
function gather(modules: Record<string, Words>, except: RegExp): Record<string, Leaf> {
  const kept = Object.entries(modules).filter(([path]) => !except.test(path));
  const objects = kept.flatMap(([, words]) =>
    Object.entries(words).filter(([, value]) => typeof value === 'object'),
  );
  return leavesOf(Object.fromEntries(objects));
}

function leavesOf(words: object, path = ''): Record<string, Leaf> {
  const found = Object.entries(words).map(([key, value]: [string, unknown]) =>
    typeof value === 'object' && value
      ? leavesOf(value, `${path}${key}.`)
      : { [path + key]: value as Leaf },
  );
  return Object.assign({}, ...found) as Record<string, Leaf>;
}

/** What a leaf says; each argument of a function is a mark such as ⟨0⟩. */
function said(leaf: Leaf): string {
  if (typeof leaf === 'string') return leaf;
  const marks = Array.from({ length: 4 }, (_, index) => `⟨${index}⟩`);
  try {
    return leaf(...marks);
  } catch {
    return leaf(...marks.map((mark) => [mark]));
  }
}

const marksIn = (text: string) => [...new Set(text.match(/⟨\d⟩/g))].sort();
const hasWords = (text: string) => /\p{L}/u.test(text.replace(/⟨\d⟩/g, ''));

afterEach(async () => {
  await language.choose('en');
  vi.unstubAllGlobals();
});

async function choose(tag: Tag): Promise<void> {
  vi.stubGlobal('document', { documentElement: {} });
  await language.choose(tag);
}

test('every language has a dictionary', () => {
  expect(Object.keys(translations).sort()).toEqual([...OTHERS].sort());
  expect(Object.keys(english).length).toBeGreaterThan(700);
});

describe.each(OTHERS)('%s', (tag) => {
  const words = translations[tag] ?? {};

  test('has the keys of English', () => {
    expect(Object.keys(words).sort()).toEqual(Object.keys(english).sort());
  });

  test('says nothing empty, and all that English is given', () => {
    for (const [path, leaf] of Object.entries(english)) {
      const [here, there] = [said(words[path] ?? ''), said(leaf)];
      expect(here.trim(), path).not.toBe('');
      expect(marksIn(here), path).toEqual(marksIn(there));
    }
  });

  test('is translated', () => {
    const worded = Object.entries(english)
      .map(([path, leaf]) => [path, said(leaf)] as const)
      .filter(([path, text]) => hasWords(text) && !NAMES.has(text) && !path.startsWith('problems'));
    const alike = worded.filter(([path, text]) => said(words[path] ?? '') === text);
    expect(alike.length / worded.length, alike.join('\n')).toBeLessThanOrEqual(MOST_ALIKE);
  });

  test.each([0, 1, 2, 21, 1_000_000])('takes the number %d', (count) => {
    for (const [path, leaf] of Object.entries(words)) {
      if (typeof leaf === 'string') continue;
      const numbers = path.endsWith('.names') ? [[String(count)]] : Array(4).fill(count);
      expect(String(leaf(...numbers)), path).not.toMatch(/undefined|NaN|\[object/);
    }
  });

  test('has no space where a line must not break', () => {
    const breaks = tag === 'fr' ? / [;:?!»]|« / : / …/;
    for (const [path, leaf] of Object.entries(words)) {
      expect(said(leaf), path).not.toMatch(breaks);
    }
  });
});

describe('the language of the page', () => {
  test('changes what was imported, and what was taken of it', async () => {
    const taken = inOrder.library;
    expect([t.delete, taken.filters]).toEqual(['Delete', 'Filters']);
    await choose('de');
    expect([t.delete, taken.filters]).toEqual(['Löschen', 'Filter']);
    expect(document.documentElement.lang).toBe('de');
    await language.choose('zh');
    expect([t.delete, taken.filters]).toEqual(['删除', '筛选']);
    expect(document.documentElement.lang).toBe('zh-Hans');
  });

  test('changes numbers, dates, sizes and lists', async () => {
    const instant = new Date(2026, 10, 21, 15, 4, 5);
    await choose('de');
    expect(number(1234567.5)).toBe('1.234.567,5');
    expect(exactly(instant.toISOString())).toBe('21.11.2026, 15:04:05');
    expect(periodOf(instant.toISOString(), new Date(2027, 5, 1))).toBe('November 2026');
    expect(sizeOf(5_100)).toBe('5,1 kB');
    expect(list(['a', 'b', 'c'])).toBe('a, b und c');
    await language.choose('fr');
    expect(number(1234567.5)).toBe('1\u202f234\u202f567,5');
  });

  test('has plurals by its own rules', async () => {
    await choose('fr');
    expect(inOrder.settings.count(0, '0')).toBe('0 conversation');
    expect(inOrder.settings.count(2, '2')).toBe('2 conversations');
    await language.choose('de');
    expect(inOrder.settings.count(0, '0')).toBe('0 Unterhaltungen');
    expect(inOrder.settings.count(1, '1')).toBe('1 Unterhaltung');
  });

  test('says what the service refuses in its own words, as far as it has them', async () => {
    expect(problems.sentence('busy', 'Their words.')).toBe('Their words.');
    await choose('de');
    expect(problems.sentence('busy', 'Their words.')).toMatch(/^Zu viele/);
    expect(problems.sentence('too_large', 'At most 1 MB.')).toBe('Das ist zu groß: At most 1 MB.');
    expect(problems.sentence('unheard_of', 'Their words.')).toBe('Their words.');
    expect(problems.sentence('daily_limit_reached', 'Their words.', 'tokens_per_day')).toMatch(
      /^Deine Tokens für heute/,
    );
    expect(problems.sentence('storage_full', 'Their words.')).toMatch(/^Deine Nachrichten belegen/);
    expect(problems.field('string_too_short', 'should have at least 8 characters')).toBe(
      'Mindestens 8 Zeichen.',
    );
    expect(problems.field('odd', 'Their words.')).toBe('Their words.');
  });

  test('names what the audit log names', async () => {
    expect(actionOf('conversation.get')).toBe('Open a conversation');
    await choose('de');
    expect([actionOf('session.login'), resourceOf('hold')]).toEqual([
      'Anmelden',
      'Aufbewahrungssperre',
    ]);
    expect([actionOf('session.unheard_of'), actionOf('odd')]).toEqual([
      'session.unheard_of',
      'odd',
    ]);
  });

  test('says why an import left something out', async () => {
    expect(reasonOf("holds no 'mapping'")).toBe("holds no 'mapping'");
    await choose('de');
    expect(reasonOf("holds no 'mapping'")).toBe('hat kein „mapping“');
    expect(reasonOf('is larger than 8 MB')).toBe('ist größer als 8 MB');
    expect(reasonOf('2 messages: had no content')).toBe('2 Nachrichten: hatte keinen Inhalt');
    expect(reasonOf('no conversations: a.json')).toBe('keine Unterhaltungen: a.json');
    expect(reasonOf('no conversations: 3 of them')).toBe('keine Unterhaltungen: 3');
    expect(reasonOf('Their words.')).toBe('Their words.');
    expect(placeOf('conversation 3, message 2')).toBe('Unterhaltung 3, Nachricht 2');
    expect(placeOf('chat, of mine.json')).toBe('chat, of mine.json');
  });

  test('is the first that the page has', () => {
    expect(match(['ja', 'de-AT', 'fr'])).toBe('de');
    expect(match(['zh-TW'])).toBe('zh');
    expect(match(['pt_BR'])).toBeUndefined();
  });

  test('has the dates of the browser’s variant of it', () => {
    expect(localeOf('en', ['de-AT', 'en-GB'])).toBe('en-GB');
    expect(localeOf('de', ['en-GB'])).toBe('de');
    expect(localeOf('zh', ['zh-TW', 'zh-CN'])).toBe('zh-CN');
  });
});
