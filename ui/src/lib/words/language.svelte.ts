import { local } from '#lib/store/local';

/** The languages of the page, each as it calls itself. */
export const LANGUAGES = {
  en: 'English',
  es: 'Español',
  fr: 'Français',
  de: 'Deutsch',
  zh: '简体中文',
} as const;

export type Tag = keyof typeof LANGUAGES;

/** The translations of a language, by the names that the English ones are exported under. */
type Words = Record<string, object>;

// Of each language: what the first screens need, what all others need, and what the service says.
type Read = () => Promise<Words>;
const FILES: Record<Exclude<Tag, 'en'>, [Read, Read, Read]> = {
  es: [() => import('./es/first'), () => import('./es/rest'), () => import('./es/service')],
  fr: [() => import('./fr/first'), () => import('./fr/rest'), () => import('./fr/service')],
  de: [() => import('./de/first'), () => import('./de/rest'), () => import('./de/service')],
  zh: [() => import('./zh/first'), () => import('./zh/rest'), () => import('./zh/service')],
};
const KEPT = 'language';

/** Return whether `Intl` knows this tag; systems have told browsers such as `en-US@posix`. */
function isKnown(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length > 0;
  } catch {
    return false;
  }
}

function ofBrowser(): readonly string[] {
  return [...navigator.languages].filter(isKnown);
}

/** Return the first language of the page among tags such as `de-AT`. */
export function match(tags: readonly string[]): Tag | undefined {
  return tags
    .map((tag) => tag.toLowerCase().split(/[-_]/)[0] ?? '')
    .find((tag): tag is Tag => tag in LANGUAGES);
}

/** Return the tag for dates and numbers: the browser's variant of the language, if it has one. */
export function localeOf(tag: Tag, among: readonly string[]): string {
  const own = tag === 'zh' ? 'zh-Hans' : tag;
  const { script } = new Intl.Locale(own).maximize();
  const isVariant = (each: string) =>
    match([each]) === tag && new Intl.Locale(each).maximize().script === script;
  return among.find(isVariant) ?? own;
}

function formatsOf(locale: string) {
  const time = { hour: '2-digit', minute: '2-digit' } as const;
  const date = { day: 'numeric', month: 'short', year: 'numeric' } as const;
  return {
    number: new Intl.NumberFormat(locale),
    compact: new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 }),
    time: new Intl.DateTimeFormat(locale, time),
    date: new Intl.DateTimeFormat(locale, date),
    moment: new Intl.DateTimeFormat(locale, { ...date, ...time }),
    exact: new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }),
    month: new Intl.DateTimeFormat(locale, { month: 'long', year: 'numeric' }),
    relative: new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }),
    list: new Intl.ListFormat(locale, { type: 'conjunction' }),
  };
}

/** The language that the page is in; what reads it follows a change. */
class Language {
  tag = $state.raw<Tag>('en');
  /** With the region of the browser, such as `de-AT`. */
  locale = $state.raw(localeOf('en', ofBrowser()));
  formats = $state.raw(formatsOf(this.locale));
  /** The translations that were read; English needs none. */
  words = $state.raw<Words>({});
  #wanted: Tag = 'en';
  #first: Promise<void> | undefined;
  #all: Promise<void> | undefined;

  get #default(): Tag {
    return match(ofBrowser()) ?? 'en';
  }

  /** Begin with the language that was chosen on this device before, or the browser's. */
  start(): void {
    const tag = match([local.get(KEPT) ?? '']) ?? this.#default;
    if (tag === 'en') return;
    this.#wanted = tag;
    const [first, ...others] = FILES[tag].map((read) => read());
    this.#first = Promise.resolve(first).then((words) => this.#show(tag, { ...words }));
    this.#all = this.#showAll(tag, [first, ...others]);
    this.#all.catch(() => undefined);
  }

  /** Wait for the words: those of the first screens, or all. Without them the page is English. */
  async ready(isFirst: boolean): Promise<void> {
    await (isFirst ? this.#first : this.#all)?.catch(() => undefined);
  }

  /**
   * Change to a chosen language, or without one to the browser's; keep the choice for the next
   * start on this device.
   *
   * @throws where its words cannot be read; the page stays as it is.
   */
  async choose(tag: Tag | null): Promise<void> {
    const wanted = tag ?? this.#default;
    if (wanted !== this.#wanted) {
      this.#wanted = wanted;
      const files = wanted === 'en' ? [] : FILES[wanted].map((read) => read());
      this.#all = this.#showAll(wanted, files);
    }
    await this.#all;
    if (tag) local.set(KEPT, tag);
    else local.drop(KEPT);
  }

  async #showAll(tag: Tag, files: (Promise<Words> | undefined)[]): Promise<void> {
    try {
      this.#show(tag, Object.assign({}, ...(await Promise.all(files))));
    } catch (error) {
      if (this.#wanted === tag) this.#wanted = this.tag;
      throw error;
    }
  }

  #show(tag: Tag, words: Words): void {
    // Another one was chosen meanwhile.
    if (tag !== this.#wanted) return;
    this.words = words;
    this.tag = tag;
    this.locale = localeOf(tag, ofBrowser());
    this.formats = formatsOf(this.locale);
    document.documentElement.lang = tag === 'zh' ? 'zh-Hans' : tag;
  }
}

export const language = new Language();
language.start();
