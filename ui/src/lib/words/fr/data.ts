import type { data as English } from '../data';

export const data: typeof English = {
  title: 'Mes données',
  text: 'Ce qui est conservé de vous ici. Les tailles sont celles d’avant la compression par la base de données.',
  kinds: {
    conversations: 'Conversations',
    messages: 'Messages',
    attachments: 'Fichiers',
    agents: 'Assistants',
    api_keys: 'Clés API',
    imports: 'Importations',
    uploads: 'Fichiers envoyés qui attendent une importation',
    exports: 'Exportations à télécharger',
    search_index: 'Index de recherche',
  },
  download: 'Tout télécharger',
  erase: 'Supprimer mon compte',
  eraseText: [
    'Votre compte est fermé aussitôt : vous êtes déconnecté partout, et les clés API ne fonctionnent plus.',
    'En quelques minutes, tout ce qui précède est supprimé, y compris les assistants que vous partagez.',
    'Le journal d’audit garde que vous avez fait quelque chose et quand, avec des adresses réseau, sous un numéro qui ne mène plus à vous. Il ne contient aucune de vos paroles.',
    'La base de données tient un journal de ses modifications récentes. Le reçu indique quand il ne contient plus rien de vous. Les sauvegardes antérieures ne sont pas modifiées.',
  ],
  cannotUndo: 'Cette opération est irréversible.',
  password: 'Votre mot de passe',
  eraseNow: 'Supprimer définitivement',
  erased: 'Votre compte est fermé',
  erasedText: 'Gardez l’adresse de cette page : c’est votre reçu.',
  states: {
    removing: 'Ce qui était conservé de vous est en cours de suppression.',
    pending:
      'Tout a été supprimé. Le journal des modifications de la base de données en garde encore une partie.',
    final: 'Tout a été supprimé, y compris du journal des modifications de la base de données.',
  },
  removed: 'Supprimé',
  isFinal: 'Définitif',
  expected: (when) => `prévu le ${when}`,
  unknown: 'pas encore connu',
  documents: 'Documents supprimés',
};
