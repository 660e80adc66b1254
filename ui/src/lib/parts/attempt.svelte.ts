import { codeOf, Refused, sentence } from '#lib/api/client';

interface Terms {
  /** Sentences for codes of refusals, in the place of the service's. */
  problems?: Partial<Record<string, string>>;
  /** The fields that say themselves what is wrong with them. */
  fields?: readonly string[];
  /** The one of these fields that a code is about. */
  places?: Partial<Record<string, string>>;
  /** Show how things stand, after each try. */
  look?: () => Promise<unknown>;
  /** Do what else a refusal asks for. */
  onrefused?: (code: string, told: string) => void;
}

/** What a form or a dialog does, and what went wrong with it. */
export class Attempt {
  isBusy = $state(false);
  /** A sentence; nothing if all went well, or a field says it. */
  failure = $state('');
  /** What is wrong with which field. */
  fields = $state.raw<Record<string, string>>({});
  readonly #terms: Terms;

  constructor(terms: Terms = {}) {
    this.#terms = terms;
  }

  /** Do it, and show what it throws, at a time when the next try is possible. */
  async run(work: () => Promise<unknown>) {
    const look = this.#terms.look ?? nothing;
    this.isBusy = true;
    this.clear();
    try {
      await work().catch(async (error: unknown) => {
        await look().catch(nothing);
        throw error;
      });
      await look();
    } catch (error) {
      this.fail(error);
    } finally {
      this.isBusy = false;
    }
  }

  /** Make a handler of a form or a button, that does it once at a time. */
  submits(work: () => Promise<unknown>) {
    return (event?: Event) => {
      event?.preventDefault();
      if (!this.isBusy) void this.run(work);
    };
  }

  /** Show what went wrong. */
  fail(error: unknown) {
    const { problems = {}, fields = [], places = {}, onrefused } = this.#terms;
    const code = codeOf(error);
    const told = problems[code] ?? sentence(error);
    const place = places[code];
    const ofService = error instanceof Refused ? error.fields : {};
    this.fields = place ? { ...ofService, [place]: told } : ofService;
    this.failure = fields.some((name) => name in this.fields) ? '' : told;
    if (code) onrefused?.(code, told);
  }

  clear() {
    this.failure = '';
    this.fields = {};
  }
}

const nothing = () => Promise.resolve();
