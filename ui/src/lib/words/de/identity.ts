import type { identity as English } from '../identity';

export const identity: typeof English = {
  signInWith: (name) => `Mit ${name} anmelden`,
  or: 'oder',
  linkWith: (name) => `Mit ${name} verknüpfen`,
  linkText: (name) => `Dann kannst du dich auch mit ${name} anmelden.`,
  linkedText: (name) => `Du kannst dich mit ${name} anmelden.`,
  unlink: 'Verknüpfung lösen',
  unlinked: 'Die Verknüpfung ist gelöst.',
  problems: {
    sign_in_expired:
      'Das hat zu lange gedauert oder in einem anderen Browser begonnen. Melde dich erneut an.',
    sign_in_refused: 'Du wurdest dort nicht angemeldet.',
    invalid_identity: 'Die Antwort weist nicht nach, wer du bist. Melde dich erneut an.',
    identity_provider_unavailable:
      'Der Anmeldedienst ist gerade nicht erreichbar. Versuche es gleich noch einmal.',
    email_in_use:
      'Es gibt schon ein Konto mit deiner E-Mail-Adresse: Melde dich dort an und verknüpfe es in den Einstellungen.',
    identity_in_use: 'Diese Identität gehört zu einem anderen Konto.',
    already_linked: 'Dein Konto ist bereits verknüpft.',
    registration_closed: 'Du hast hier kein Konto; bitte den Betreiber um eines.',
    invalid_credentials: 'Dein Konto ist geschlossen.',
  },
  reset: {
    title: 'Neues Passwort festlegen',
    text: 'Du hast diesen Link von der Administration bekommen. Er gilt einmal.',
    password: 'Neues Passwort',
    set: 'Passwort festlegen',
    done: 'Dein Passwort ist festgelegt',
    doneText: 'Du bist überall abgemeldet. Melde dich mit dem neuen an.',
  },
  failed: 'Die Anmeldung hat nicht geklappt.',
};
