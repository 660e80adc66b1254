import { pluralOf } from '../translating';
import type { sharing as English } from '../sharing';

const plural = pluralOf('fr');

export const sharing: typeof English = {
  title: (name) => `Partager « ${name} »`,
  text: 'Qui a le lien peut lire la conversation. Les fichiers n’en font pas partie.',
  include: 'Montrer aussi',
  includes: {
    system_prompt: 'Consigne et messages du système',
    tool_results: 'Ce qui a été demandé aux outils, et leurs réponses',
    thinking: 'Raisonnement du modèle',
    metadata: 'Étiquettes, métadonnées, modèles et chiffres',
  },
  mode: 'Ce qu’il montre',
  modes: {
    snapshot: 'La conversation dans son état actuel, à toute personne qui a le lien',
    live: 'La conversation telle qu’elle est à chaque instant, aux personnes connectées qui ont le lien',
  },
  live: 'En direct',
  lifetime: 'Valable',
  days: (count) => (count === 365 ? '1 an' : plural(count, `${count} jour`, `${count} jours`)),
  password: 'Mot de passe (facultatif)',
  passwordHint:
    'Au moins 8 caractères. Transmettez-le aux lecteurs par une autre voie que le lien.',
  create: 'Créer le lien',
  made: 'Le lien',
  once: 'Copiez-le maintenant : il n’est affiché que cette fois.',
  copy: 'Copier le lien',
  list: 'Liens vers cette conversation',
  none: 'Il n’y a pas de lien vers cette conversation.',
  views: (count, shown) =>
    count === 0 ? 'Pas encore ouvert' : `Ouvert ${plural(count, 'une fois', `${shown} fois`)}`,
  madeOn: (day) => `Créé le ${day}`,
  until: (day) => `jusqu’au ${day}`,
  states: { open: 'Actif', expired: 'Expiré', revoked: 'Révoqué' },
  protected: 'Mot de passe',
  revoke: 'Révoquer',
  revokeOne: (day) => `Révoquer le lien du ${day}`,
  revokeAll: 'Tout révoquer',
  page: {
    loading: 'Chargement…',
    missing: 'Ce lien ne fonctionne pas',
    missingText: 'Il n’existe pas, a expiré ou a été révoqué.',
    members: 'Connectez-vous pour lire cette conversation',
    membersText: 'Ce lien suit une conversation, pour les personnes qui ont un compte ici.',
    signIn: 'Se connecter',
    locked: 'Cette conversation a un mot de passe',
    lockedText: 'La personne qui vous a donné le lien le connaît.',
    password: 'Mot de passe',
    open: 'Ouvrir',
    wrong: 'Ce n’est pas le mot de passe.',
    about: (day, messages) => `Copie d’une conversation, faite le ${day}. ${messages}.`,
    live: (messages) => `Une conversation dans son état actuel. ${messages}.`,
    prompt: 'Consigne du système',
    metadata: 'Étiquettes et métadonnées',
    file: (name) => `Fichier : ${name}`,
    fileAbsent: 'les liens ne le montrent pas',
    unreadable: 'Ce message est illisible.',
    copy: 'Copier dans mes conversations',
    empty: 'Il n’y a pas de messages.',
  },
};
