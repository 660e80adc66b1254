import { pluralOf } from '../translating';
import type { withPeople as English } from '../people';

const plural = pluralOf('fr');

export const withPeople: typeof English = {
  section: 'Personnes',
  text: 'Les personnes qui ont un compte ici. Elles la trouvent sous « Partagé avec moi ».',
  name: 'Nom d’utilisateur',
  role: 'Rôle',
  roleOf: (name) => `Rôle de ${name}`,
  roles: { viewer: 'Lecteur', commenter: 'Commentateur', editor: 'Éditeur' },
  may: {
    viewer: 'lit',
    commenter: 'lit et écrit des notes à côté des messages',
    editor: 'lit, écrit des notes, écrit et modifie des messages',
  },
  lasts: 'L’accès dure',
  always: 'Jusqu’à ce que je le retire',
  add: 'Partager',
  list: 'Qui a accès',
  none: 'Personne d’autre que vous.',
  you: 'Vous',
  owner: 'Propriétaire',
  gone: 'compte supprimé',
  until: (day) => `jusqu’au ${day}`,
  expired: (day) => `terminé le ${day}`,
  end: 'Retirer l’accès',
  endOf: (name) => `Retirer l’accès de ${name}`,
  added: (name) => `${name} a maintenant accès.`,
  changed: (name) => `Le rôle de ${name} a été modifié.`,
  ended: (name) => `${name} n’a plus accès.`,
  problems: {
    own: 'C’est vous : elle vous appartient déjà.',
    user_not_found: 'Personne ne porte ce nom ici.',
    too_many_grants:
      'Elle est déjà partagée avec autant de personnes que possible. Retirez d’abord l’accès de quelqu’un.',
    too_many_requests: 'Trop de tentatives. Réessayez dans une minute.',
  },
  bar: (count) => plural(count, 'Partagée avec 1 personne', `Partagée avec ${count} personnes`),
  links: 'Liens',

  withMe: {
    title: 'Partagé avec moi',
    text: 'Les conversations d’autres personnes auxquelles vous avez accès.',
    list: 'Conversations partagées avec moi',
    empty: 'Personne ne partage de conversation avec vous.',
    conversation: 'Titre',
    owner: 'De',
    role: 'Vous êtes',
    since: 'Partagée',
    changed: 'Dernière modification',
    nobody: 'compte supprimé',
  },

  guest: {
    of: (name) => `De ${name}.`,
    ofSomebody: 'De quelqu’un d’autre.',
    may: {
      viewer: 'Vous pouvez la lire.',
      commenter: 'Vous pouvez la lire et écrire des notes.',
      editor: 'Vous pouvez la lire, écrire et modifier des messages et des notes.',
    },
    asks: 'L’assistant vous répond ici aux frais du propriétaire.',
    asksNot: 'L’assistant ne vous répond pas ici : le propriétaire ne l’a pas permis.',
    byGroup: 'Vous l’avez par un groupe : quittez le groupe dans les paramètres.',
    leave: 'Quitter',
    leaveTitle: 'Quitter cette conversation ?',
    leaveText: 'Vous perdez l’accès. Ce que vous y avez écrit y reste.',
    left: 'Vous n’y avez plus accès.',
    ended:
      'Vous n’avez plus accès à cette conversation. Vous la voyez telle qu’elle était ; elle disparaîtra quand vous quitterez cette page.',
  },
  somebody: 'Quelqu’un d’autre',
  by: (name) => `de ${name}`,
};
