import type { importing as English } from '../importing';

export const importing: typeof English = {
  uploading:
    'Envoi en cours. Gardez cette page ouverte jusqu’à la fin ; une connexion coupée est reprise.',
  uploaded: (done, all) => `${done} envoyés sur ${all}`,
  waiting: 'Attend son tour…',
  reading: (done, all) => `Lecture : ${done} sur ${all}`,
  storing: (done, all) => `Enregistrement : ${done} conversations sur ${all}`,
  looking: (done, all) => `Comparaison : ${done} conversations sur ${all}`,
  mayLeave:
    'L’importation continue si vous quittez cette page ; vous la retrouverez ici à votre retour.',
  broken: 'La connexion est coupée ; elle va être reprise.',
  names: (names) =>
    names.length > 4
      ? `${names.slice(0, 3).join(', ')} et ${names.length - 3} autres`
      : names.join(', '),
  cancelled:
    'L’importation est annulée. Ce qui a été importé jusque-là reste, chaque conversation entière.',
  nothing: 'Rien n’a été importé : tout est déjà ici, ou laissé de côté.',
  failed: 'L’importation a échoué.',
  found: 'Trouvées',
  updated: 'Mises à jour',
  replaced: 'Remplacées',
  copied: 'Copiées',
  deletedHere: 'Supprimées ici',
  diverged: 'Modifiées ici',
  formats: 'Ce qui a été reconnu',
  unknown: 'Ce qui n’a pas été compris, et est gardé tel quel',
  earlier: 'Importations en arrière-plan',
  states: {
    queued: 'En attente',
    running: 'En cours',
    completed: 'Terminée',
    nothing_imported: 'Rien d’importé',
    cancelled: 'Annulée',
    failed: 'Échouée',
  },
  show: 'Afficher',
  options: 'Options',
  duplicates: 'Ce qui a déjà été importé',
  onDuplicate: {
    skip: 'Le laisser tel quel',
    update: 'Ajouter les nouveaux messages à la fin',
    replace: 'Le remplacer par le contenu du fichier',
    copy: 'L’importer encore une fois, à côté',
  },
  restore: 'Importer aussi ce que vous avez supprimé ici',
};
