import type { keys as English } from '../keys';
import { pluralOf } from '../translating';

const plural = pluralOf('fr');

export const keys: typeof English = {
  text: 'Avec une clé, un programme agit pour vous, dans les limites des autorisations de la clé. Envoyez-la comme Authorization: Bearer.',
  make: 'Nouvelle clé',
  name: 'Nom',
  nameHint: 'À quoi elle sert, par exemple le nom du programme.',
  scopes: 'Elle peut',
  scopeNames: {
    'conversations:read': ['Lire', 'Conversations, messages, fichiers et réglages.'],
    'conversations:write': ['Écrire', 'Les créer, modifier et supprimer ; lecture comprise.'],
    'agents:run': [
      'Solliciter des assistants',
      'Réponses de modèles, à vos frais ; assistants et outils.',
    ],
    export: ['Exporter', 'Les conversations, et tout sur vous.'],
    'audit:read': ['Lire le journal d’audit', 'Votre part, ou tout si votre rôle le permet.'],
    admin: ['Administrer', 'Comptes et consommation.'],
  },
  lifetime: 'Valable',
  days: (count) => (count === 365 ? '1 an' : plural(count, `${count} jour`, `${count} jours`)),
  create: 'Créer la clé',
  made: (name) => `La clé « ${name} »`,
  once: 'Copiez-la maintenant : elle n’est affichée que cette fois, et n’est enregistrée nulle part.',
  copy: 'Copier la clé',
  kept: 'Je l’ai copiée',
  list: 'Clés',
  none: 'Il n’y a pas encore de clé.',
  never: 'Pas encore utilisée',
  used: (when) => `Utilisée ${when}`,
  until: (day) => `jusqu’au ${day}`,
  expired: 'Expirée',
  revoke: 'Révoquer',
  revokeTitle: (name) => `Révoquer « ${name} » ?`,
  revokeText: 'Les programmes qui l’utilisent sont refusés aussitôt, partout. C’est irréversible.',
  revoked: 'La clé est révoquée.',
  revokeAll: 'Révoquer toutes les clés',
  revokeAllTitle: 'Révoquer toutes les clés ?',
};
