import { describe, expect, test } from 'vitest';
import { Refused } from '#lib/api/client';
import { Attempt } from './attempt.svelte';

const refusal = (code: string, errors: { loc: string[]; msg: string }[] = []) =>
  new Refused(422, { code, detail: 'The service says no.', errors } as never, 0);
const refused = (...given: Parameters<typeof refusal>) => Promise.reject(refusal(...given));

describe('an attempt', () => {
  test('is busy until its work and the look after it are done', async () => {
    const seen: boolean[] = [];
    const attempt: Attempt = new Attempt({
      look: () => Promise.resolve(seen.push(attempt.isBusy)),
    });
    await attempt.run(() => Promise.resolve(seen.push(attempt.isBusy)));
    expect([...seen, attempt.isBusy]).toEqual([true, true, false]);
  });

  test('shows what is wrong when the next try is possible', async () => {
    const shown: string[] = [];
    const attempt: Attempt = new Attempt({
      look: () => Promise.resolve(shown.push(attempt.failure)),
    });
    await attempt.run(() => refused('busy'));
    expect([...shown, attempt.failure]).toEqual(['', 'The service says no.']);
  });

  test('says it in the words of the form', async () => {
    const attempt = new Attempt({ problems: { not_manager: 'Ask a manager.' } });
    await attempt.run(() => refused('not_manager'));
    expect(attempt.failure).toBe('Ask a manager.');
  });

  test('leaves to a field what the field shows', async () => {
    const attempt = new Attempt({ fields: ['name'] });
    await attempt.run(() => refused('invalid', [{ loc: ['body', 'name'], msg: 'too long' }]));
    expect([attempt.failure, Object.keys(attempt.fields)]).toEqual(['', ['name']]);
    await attempt.run(() => refused('invalid', [{ loc: ['body', 'other'], msg: 'too long' }]));
    expect(attempt.failure).toBe('The service says no.');
  });

  test('shows at its field what a code is about', async () => {
    const attempt = new Attempt({ fields: ['name'], places: { user_not_found: 'name' } });
    await attempt.run(() => refused('user_not_found'));
    expect([attempt.failure, attempt.fields.name]).toEqual(['', 'The service says no.']);
  });

  test('forgets the last failure when it begins anew', async () => {
    const attempt = new Attempt();
    await attempt.run(() => refused('busy'));
    await attempt.run(() => Promise.resolve());
    expect(attempt.failure).toBe('');
  });

  test('is made once at a time by a form', async () => {
    let times = 0;
    const submit = new Attempt().submits(() => {
      times += 1;
      return new Promise(() => undefined);
    });
    submit();
    submit();
    expect(times).toBe(1);
  });
});
