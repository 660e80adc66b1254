import type { inComposer as English } from '../composer';

export const inComposer: typeof English = {
  files: {
    choose: 'Joindre des fichiers',
    label: 'Fichiers à envoyer',
    unnamed: 'fichier',
    remove: (name) => `Retirer ${name}`,
    sending: (name) => `Envoi de ${name}`,
    stop: 'Arrêter l’envoi des fichiers',
    drop: 'Déposez des fichiers pour les joindre',
    unread: 'Les fichiers sont conservés avec le message. L’assistant ne les lit pas.',
    needsWords: 'Écrivez un message pour les envoyer.',
    tooLarge: (name, most) => `${name} dépasse ${most} Mo.`,
    tooMany: (most) => `Un message affiche au plus ${most} fichiers.`,
  },
};
