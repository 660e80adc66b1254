import type { identity as English } from '../identity';

export const identity: typeof English = {
  signInWith: (name) => `Se connecter avec ${name}`,
  or: 'ou',
  linkWith: (name) => `Associer à ${name}`,
  linkText: (name) => `Vous pourrez alors vous connecter aussi avec ${name}.`,
  linkedText: (name) => `Vous pouvez vous connecter avec ${name}.`,
  unlink: 'Dissocier',
  unlinked: 'Le compte est dissocié.',
  problems: {
    sign_in_expired:
      'C’était trop long, ou commencé dans un autre navigateur. Connectez-vous à nouveau.',
    sign_in_refused: 'La connexion y a été refusée.',
    invalid_identity: 'La réponse ne prouve pas qui vous êtes. Connectez-vous à nouveau.',
    identity_provider_unavailable:
      'Le fournisseur d’identité est injoignable. Réessayez dans un instant.',
    email_in_use:
      'Un compte a déjà votre adresse e-mail : connectez-vous à ce compte et associez-le dans ses paramètres.',
    identity_in_use: 'Cette identité appartient à un autre compte.',
    already_linked: 'Votre compte est déjà associé.',
    registration_closed: 'Vous n’avez pas de compte ici ; demandez-en un à l’exploitant.',
    invalid_credentials: 'Votre compte est fermé.',
  },
  reset: {
    title: 'Définir un nouveau mot de passe',
    text: 'L’administration vous a donné ce lien. Il fonctionne une fois.',
    password: 'Nouveau mot de passe',
    set: 'Définir le mot de passe',
    done: 'Votre mot de passe est défini',
    doneText: 'Vous êtes déconnecté partout. Connectez-vous avec le nouveau.',
  },
  failed: 'La connexion a échoué.',
};
