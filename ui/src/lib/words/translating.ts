import { limitOf, type problems } from './problems';

/** Return what chooses the form of a word for a number: `plural(2, 'Nachricht', 'Nachrichten')`. */
export function pluralOf(locale: string): (count: number, one: string, other: string) => string {
  const rules = new Intl.PluralRules(locale);
  return (count, one, other) => (rules.select(count) === 'one' ? one : other);
}

interface Translated {
  /** By code. */
  sentences: Record<string, string>;
  /** By code, what is put before the service's own words. */
  leads: Record<string, string>;
  /** By type; the number is the limit that the service names, if it names one. */
  fields: Record<string, (limit: string) => string>;
  /** By the name of the limit that is met. */
  limits: Record<string, string>;
}

/** Return a language's own; what it lacks stays in the service's words. */
export function problemsIn({ sentences, leads, fields, limits }: Translated): typeof problems {
  return {
    sentence: (code, detail, limit = '') => {
      const lead = leads[code];
      const own = limits[limitOf(code, limit)] ?? sentences[code];
      return own ?? (lead ? lead + detail : detail);
    },
    field: (type, message) => {
      const isEmail = type === 'value_error' && message.includes('email');
      const limit = /\d+/.exec(message)?.[0] ?? '';
      return fields[isEmail ? 'email' : type]?.(limit) ?? message;
    },
  };
}
