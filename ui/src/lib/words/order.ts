import { translated } from './translated';

/** English of tags, categories and looks, and of the library. */
const english = {
  dialog: {
    title: 'Tags, category, look',
    category: 'Category',
    noCategory: 'No category',
    manage: 'Change tags and categories',
    emoji: 'Emoji',
    emojiHint: 'Shown before the title.',
    colour: 'Colour',
    noColour: 'None',
    colours: {
      red: 'Red',
      orange: 'Orange',
      yellow: 'Yellow',
      green: 'Green',
      teal: 'Teal',
      blue: 'Blue',
      purple: 'Purple',
      pink: 'Pink',
    } as Record<string, string>,
  },
  tags: {
    label: 'Tags',
    add: 'Add a tag',
    addButton: 'Add',
    remove: (tag: string) => `Remove the tag ${tag}`,
  },

  settings: {
    tab: 'Tags and categories',
    categories: 'Categories',
    categoriesText: 'A conversation is in at most one. Categories may have others within them.',
    noCategories: 'There are no categories yet.',
    newCategory: 'New category',
    newWithin: (name: string) => `New category within ${name}`,
    name: 'Name',
    within: 'Within',
    atTop: 'Nothing: at the top',
    editCategory: (name: string) => `Change ${name}`,
    deleteCategory: (name: string) => `Delete ${name}`,
    deleteTitle: 'Delete this category?',
    deleteText: (name: string, count: number) =>
      count === 0
        ? `“${name}” is empty.`
        : count === 1
          ? `“${name}” goes; its conversation stays, in no category.`
          : `“${name}” goes; its ${count} conversations stay, in no category.`,
    count: (count: number, shown: string) =>
      count === 1 ? '1 conversation' : `${shown} conversations`,
    tags: 'Tags',
    tagsText: 'The most used first. Renaming or merging changes each conversation that has them.',
    noTags: 'There are no tags yet.',
    find: 'Find a tag',
    rename: 'Rename',
    renameTag: (tag: string) => `Rename ${tag}`,
    renameTitle: (tag: string) => `Rename the tag “${tag}”`,
    newName: 'New name',
    select: (tag: string) => `Select ${tag}`,
    merge: 'Merge tags',
    mergeSome: (count: string) => `Merge ${count} tags`,
    mergeTitle: 'Merge tags',
    mergeText: (tags: string) => `Instead of ${tags} conversations get one tag:`,
    into: 'The tag that stays',
    mergeButton: 'Merge',
    changed: (count: number, shown: string) =>
      count === 1 ? '1 conversation was changed.' : `${shown} conversations were changed.`,
    moreTags: 'Only the most used tags are shown.',
  },

  library: {
    filters: 'Filters',
    clear: 'Clear filters',
    tag: 'With the tag',
    addTag: 'Any tag',
    dropTag: (tag: string) => `Any tag, not only ${tag}`,
    category: 'In the category',
    anyCategory: 'Any category',
    noCategory: 'In no category',
    pinned: 'Pins',
    anyPin: 'Pinned or not',
    onlyPinned: 'Pinned',
    notPinned: 'Not pinned',
    from: 'Changed from',
    to: 'to',
    sort: 'Sort by',
    sorts: {
      updated: 'Last change',
      created: 'Creation',
      last_message: 'Last message',
      title: 'Title',
    } as Record<string, string>,
    columnCategory: 'Category',
    columnTags: 'Tags',
    columnAssistant: 'Assistant',
    columnActions: 'Actions',
    page: (from: string, to: string) => `${from}–${to}`,
    pageOf: (from: string, to: string, total: string) => `${from}–${to} of ${total}`,
    none: 'Select none',
    tagAction: 'Tag…',
    untagAction: 'Untag…',
    moveAction: 'Move…',
    tagTitle: (count: string) => `Add a tag to ${count}`,
    untagTitle: (count: string) => `Remove a tag from ${count}`,
    moveTitle: (count: string) => `Move ${count} to a category`,
    tagField: 'Tag',
    apply: 'Apply',
    done: (count: number, shown: string) =>
      count === 1 ? '1 conversation is changed.' : `${shown} conversations are changed.`,
    undone: (count: number, shown: string) =>
      count === 1
        ? '1 conversation is as it was before.'
        : `${shown} conversations are as they were before.`,
    selectMatching: (count: string) => `Select all ${count} that match`,
    allSelected: (count: string) => `All ${count} that match are selected`,
    working: 'Work with many conversations',
    cancelling: 'Ending…',
    cancelled: 'Cancelled.',
    inProgress: 'Other work with many conversations is still under way.',
    reasons: {
      not_found: 'They are not there any more.',
      changed_meanwhile: 'They were changed meanwhile.',
      too_many_tags: 'They would have more than 64 tags.',
      under_hold: 'A legal hold keeps them.',
    } as Record<string, string>,
    pinnedMark: 'Pinned',
  },
};
export const inOrder = translated('inOrder', english);
