/** What to do with conversations that were imported before. */
export const DUPLICATES = ['skip', 'update', 'replace', 'copy'] as const;

/** How to import, as far as a person chooses it. */
export interface ImportChoice {
  on_duplicate: (typeof DUPLICATES)[number];
  restore_deleted: boolean;
}

export const USUAL: ImportChoice = { on_duplicate: 'skip', restore_deleted: false };
