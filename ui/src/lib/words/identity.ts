import { translated } from './translated';

/** English of ways to sign in besides a password that one knows. */
const english = {
  signInWith: (name: string) => `Sign in with ${name}`,
  or: 'or',
  linkWith: (name: string) => `Link with ${name}`,
  linkText: (name: string) => `Then you can sign in with ${name}, too.`,
  linkedText: (name: string) => `You can sign in with ${name}.`,
  unlink: 'Unlink',
  unlinked: 'Unlinked.',
  problems: {
    sign_in_expired: 'That took too long, or began in another browser. Sign in again.',
    sign_in_refused: 'You were not signed in there.',
    invalid_identity: 'What came back does not prove who you are. Sign in again.',
    identity_provider_unavailable: 'It cannot be reached now. Try again shortly.',
    email_in_use: 'An account has your email address: sign in to it, and link it in its settings.',
    identity_in_use: 'That identity belongs to another account.',
    already_linked: 'Your account is linked already.',
    registration_closed: 'You have no account here; ask an operator for one.',
    invalid_credentials: 'Your account is closed.',
  } as Record<string, string>,
  /** The page that sets a password by a token. */
  reset: {
    title: 'Set a new password',
    text: 'Your administrator gave you this link. It works once.',
    password: 'New password',
    set: 'Set password',
    done: 'Your password is set',
    doneText: 'You are signed out everywhere. Sign in with the new one.',
  },
  failed: 'Signing in did not work.',
};
export const identity = translated('identity', english);
