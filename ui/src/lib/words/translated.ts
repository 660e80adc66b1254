import { language } from './language.svelte';

/** The same words in any language: the keys, and what the functions take, are those of English. */
export type Translation<T> = T extends string
  ? string
  : T extends (...given: infer Given) => string
    ? (...given: Given) => string
    : { readonly [K in keyof T]: Translation<T[K]> };

/**
 * Return words that are read in the language of the page, and follow a change of it.
 *
 * @param name - what the English words, and those of each language, are exported as.
 */
export function translated<T extends object>(name: string, english: T): Translation<T> {
  return mirrorOf(english, () => language.words[name] ?? english) as Translation<T>;
}

/** Make an object with the keys of `english` whose values are those of another, read when used. */
function mirrorOf(english: object, now: () => object): object {
  const mirror = {};
  for (const [key, value] of Object.entries(english)) {
    // English where a language lacks it, as a part that is still being read does.
    const read = () => (now() as Record<string, unknown>)[key] ?? value;
    const isNested = typeof value === 'object' && !Array.isArray(value);
    const nested = isNested ? mirrorOf(value as object, read as () => object) : undefined;
    Object.defineProperty(mirror, key, { enumerable: true, get: nested ? () => nested : read });
  }
  return mirror;
}
