import {
  api,
  ok,
  onUnauthenticated,
  Refused,
  Unreachable,
  type Preferences,
  type UiConfig,
  type User,
} from '#lib/api/client';
import { language, match, type Tag } from '#lib/words/language.svelte';
import { forgetEverything } from '#lib/store/database';
import { local } from '#lib/store/local';
import { tell } from './tabs';

/** Some preferences; null sets one back. */
type Changes = { [Name in keyof Preferences]?: Preferences[Name] | null };

/** Who is signed in, and what they chose. */
class Session {
  user = $state.raw<User | null>(null);
  config = $state.raw<UiConfig | null>(null);
  preferences = $state.raw<Preferences | null>(null);
  /** They were signed in, and the service does not know them any more. */
  hasExpired = $state(false);
  #isLeaving = false;
  #started: Promise<void> | undefined;

  /** Whether Enter sends. */
  get enterSends(): boolean {
    return this.#display('enterSends');
  }

  /** Whether single letters are shortcuts. */
  get hasLetterKeys(): boolean {
    return this.#display('letterKeys');
  }

  get showsTimes(): boolean {
    return this.preferences?.showTimestamps ?? true;
  }

  /** May read the audit log of everybody. */
  get isReviewer(): boolean {
    return this.user?.role === 'auditor' || this.user?.role === 'admin';
  }

  /** May see the accounts, and what everybody uses. */
  get isAdmin(): boolean {
    return this.user?.role === 'admin';
  }

  /** Whether a conversation is somebody else's. */
  isForeign(row: { user_id: string }): boolean {
    return this.user !== null && row.user_id !== this.user.id;
  }

  /** Ask the service who this is, once; nobody is asked for who never signed in. */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    onUnauthenticated(() => {
      if (this.user && !this.#isLeaving) this.hasExpired = true;
    });
    const config = ok(api.GET('/ui/config')).then((found) => (this.config = found));
    if (local.get('signed-in')) {
      try {
        await this.#enter(await ok(api.GET('/auth/me')));
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 401) {
          this.#started = undefined;
          throw error;
        }
        local.drop('signed-in');
      }
    }
    await config;
  }

  /** Ask who this is at the start, although nobody signed in on this page. */
  expect(): void {
    local.set('signed-in', '1');
  }

  async signIn(username: string, password: string): Promise<void> {
    const { user } = await ok(api.POST('/auth/login', { body: { username, password } }));
    await this.#enter(user);
    this.hasExpired = false;
  }

  async #enter(user: User): Promise<void> {
    await this.readPreferences();
    this.user = user;
    local.set('signed-in', '1');
  }

  async readPreferences(): Promise<void> {
    this.preferences = await ok(api.GET('/users/me/preferences'));
    showTheme(this.preferences.theme);
    // Where its words cannot be read, the page stays in the language that it is in.
    await language.choose(this.language).catch(() => undefined);
  }

  /** Sign out, and leave nothing of this person on the screen or in the browser. */
  async signOut(): Promise<void> {
    this.#isLeaving = true;
    try {
      await ok(api.POST('/auth/logout'));
      await this.forget();
    } finally {
      this.#isLeaving = false;
    }
  }

  /** Delete the account, and go to the receipt. */
  async erase(password: string): Promise<void> {
    this.#isLeaving = true;
    try {
      const { id, token } = await ok(api.DELETE('/users/me', { body: { password } }));
      await this.forget(`/erased#${id}.${token}`);
    } finally {
      this.#isLeaving = false;
    }
  }

  async forget(next = '/login'): Promise<void> {
    await forgetEverything();
    local.clear();
    tell({ type: 'signed-out' });
    // A fresh page: nothing that was read stays in memory, and "back" finds nothing.
    location.replace(next);
  }

  async prefer(changes: Changes): Promise<void> {
    this.preferences = await ok(api.PATCH('/users/me/preferences', { body: changes as never }));
    showTheme(this.preferences.theme);
  }

  /** The language that was chosen; null for that of the browser. */
  get language(): Tag | null {
    const { language: tag = 'en', display_settings: display } = this.preferences ?? {};
    // The service answers "en" for everybody who never chose one, too.
    return tag !== 'en' || display?.languageChosen === true ? (match([tag]) ?? null) : null;
  }

  /** Choose a language, or that of the browser. */
  async preferLanguage(tag: Tag | null): Promise<void> {
    await this.prefer({ language: tag, display_settings: { languageChosen: tag !== null } });
    await language.choose(tag).catch(() => {
      throw new Unreachable();
    });
  }

  async preferDisplay(name: string, value: boolean): Promise<void> {
    await this.prefer({ display_settings: { [name]: value } });
  }

  #display(name: string): boolean {
    return this.preferences?.display_settings?.[name] !== false;
  }
}

function showTheme(theme: string): void {
  const root = document.documentElement;
  if (theme === 'light' || theme === 'dark') {
    root.dataset.theme = theme;
    local.set('theme', theme);
  } else {
    delete root.dataset.theme;
    local.drop('theme');
  }
}

export const session = new Session();
