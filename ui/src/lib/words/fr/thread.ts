import type { inThread as English } from '../thread';

export const inThread: typeof English = {
  branches: {
    label: 'Branches',
    place: (now, all) => `${now} / ${all}`,
    spoken: (now, all) => `Branche ${now} sur ${all}`,
    earlier: 'Branche précédente',
    later: 'Branche suivante',
    other: 'Afficher l’autre branche',
    shown: (now, all) => `La branche ${now} sur ${all} est affichée.`,
    gone: 'Les messages de cette branche ont été supprimés.',
    underWay:
      'Une réponse est en cours d’écriture, ou attend votre décision. Attendez-la ou arrêtez-la, puis choisissez une autre branche.',
    ask: 'Reposer la question',
    askText: 'La question d’origine reste à côté de celle-ci, avec ses réponses.',
  },

  gone: 'Cette conversation a été supprimée ailleurs.',
  goTo: {
    number: 'Numéro du message',
    of: (count, shown) => (count === 1 ? 'Il y en a un.' : `Il y en a ${shown}.`),
    goDay: 'Aller au jour',
    goNumber: 'Aller au message',
    gone: 'Ce message n’existe pas sur cette branche.',
    outline: 'Vos messages',
    outlineText: 'Les premiers mots de chacun ; choisissez-en un pour y aller.',
    here: 'À partir d’ici',
    all: 'Depuis le début',
    none: 'Vous n’avez rien écrit ici.',
    wordless: 'Sans texte',
  },
  role: { tool: 'Outil' },
  unreadable:
    'Ce message est illisible : ce qui en est conservé ne se déchiffre pas. Il peut être supprimé.',
  hidden: {
    show: (count) =>
      count === 1 ? 'Afficher 1 message masqué' : `Afficher ${count} messages masqués`,
    hide: 'Masquer les messages masqués',
    badge: 'Masqué',
  },
  time: {
    mark: '≈',
    sources: {
      neighbour: 'L’heure est celle d’un message voisin.',
      conversation: 'L’heure est celle de la conversation.',
      import: 'L’heure est celle de l’importation.',
    },
  },

  parts: {
    thoughts: 'Raisonnement',
    thoughtsFor: (seconds) => `Raisonnement, ${seconds} s`,
    call: (tool) => `A utilisé ${tool}`,
    resultOf: (tool) => `Résultat de ${tool}`,
    result: 'Résultat',
    input: 'Avec ces arguments',
    failed: 'Échec',
    sources: 'Sources',
    source: 'Source',
    raw: (type) => `Conservé tel quel : ${type}`,
    transcript: 'Transcription',
    text: 'Texte du fichier',
  },

  files: {
    label: (name) => `Fichier ${name}`,
    unnamed: 'Fichier',
    download: (name) => `Télécharger ${name}`,
    states: {
      absent: 'Indisponible : son contenu n’était pas dans l’importation.',
      expired: 'Indisponible : la source ne l’a plus.',
      unknown: 'Indisponible.',
    },
    picture: (name) => `Image ${name}`,
  },
};
