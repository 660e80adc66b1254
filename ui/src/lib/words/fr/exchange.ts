import type { exchange as English } from '../exchange';
import { pluralOf } from '../translating';

const plural = pluralOf('fr');

export const exchange: typeof English = {
  export: {
    title: 'Exporter',
    format: 'Format',
    formats: {
      markdown: [
        'Markdown',
        'Des notes à lire et à parcourir, aussi dans Obsidian ; rien n’en est relu.',
      ],
      html: ['HTML', 'Des pages à voir dans un navigateur, sans scripts.'],
      pdf: ['PDF', 'Des pages à imprimer.'],
      json: ['JSON', 'Tout, avec chaque branche ; chatvault peut le relire.'],
      ndjson: ['NDJSON', 'La même chose, une ligne par élément, pour les programmes.'],
      openai: ['OpenAI', 'Les messages tels que l’API d’OpenAI les accepte, pour l’entraînement.'],
      sharegpt: ['ShareGPT', 'Des conversations pour l’entraînement.'],
    },
    one: (title) => `Exporter « ${title} »`,
    some: (count) =>
      plural(count, `Exporter ${count} conversation`, `Exporter ${count} conversations`),
    text: 'Vos conversations en fichiers. Une grande exportation est préparée en arrière-plan, en parties à télécharger une à une, et de nouveau si un téléchargement s’interrompt.',
    which: 'Quelles conversations',
    selections: { all: 'Toutes', active: 'Actives', archived: 'Archivées' },
    since: 'Modifiées à partir du',
    before: 'Modifiées jusqu’au',
    dates: 'Laissez un jour vide pour ne pas limiter.',
    selected: 'Pour n’en exporter que certaines, sélectionnez-les dans la bibliothèque.',
    now: 'Télécharger',
    begin: 'Préparer l’exportation',
    begun: 'L’exportation est en préparation. Elle continue si vous quittez cette page.',
    list: 'Exportations',
    none: 'Aucune n’a encore été préparée en arrière-plan.',
    states: {
      waiting: 'En attente',
      running: 'En cours',
      done: 'Terminée',
      failed: 'Échouée',
      removed: 'Supprimée',
    },
    progress: (done, total) => `${done} conversations sur ${total}`,
    holds: (conversations, messages) => `${conversations}, ${messages}`,
    missing: (cut, changed) => `Coupées : ${cut} ; modifiées pendant l’exportation : ${changed}.`,
    part: (name, size) => `${name} (${size})`,
    until: (day) => `Conservée jusqu’au ${day}`,
    remove: 'Supprimer',
    stop: 'Annuler',
    gone: 'L’exportation est supprimée.',
    failedText: (code) => `L’exportation a échoué (${code}). Relancez-la.`,
    account: 'Tout sur vous, compte compris, se trouve dans Paramètres, Compte.',
  },
};
