import type { Category, Summary } from '#lib/api/client';

/** A line of the sidebar's list. */
export type Line =
  | { key: string; heading: string }
  | { key: string; row: Summary; depth?: number }
  | { key: string; category: Category; depth: number; isOpen: boolean }
  | { key: string; category: Category; depth: number; isRest: true };

interface Tree {
  top: readonly Category[];
  within: (id: string) => readonly Category[];
  isOpen: (id: string) => boolean;
  /** What is in a category at the top, and in those within it. */
  rows: Readonly<Record<string, Summary[]>>;
  isCut: (id: string) => boolean;
}

/** The foldable categories, each with those within it and its conversations. */
export function categoryLines(tree: Tree): Line[] {
  return tree.top.flatMap((top) => {
    const rows = tree.rows[top.id] ?? [];
    const lines = linesOf(tree, top, 0, rows);
    if (!tree.isOpen(top.id)) return lines;
    const [fold, ...own] = lines;
    const within = tree.within(top.id).flatMap((each) => linesOf(tree, each, 1, rows));
    const rest: Line[] = tree.isCut(top.id)
      ? [{ key: `rest ${top.id}`, category: top, depth: 1, isRest: true }]
      : [];
    return [...(fold ? [fold] : []), ...within, ...own, ...rest];
  });
}

function linesOf(tree: Tree, category: Category, depth: number, rows: Summary[]): Line[] {
  const isOpen = tree.isOpen(category.id);
  const fold: Line = { key: `fold ${category.id}`, category, depth, isOpen };
  if (!isOpen) return [fold];
  const own = rows.filter((row) => row.category_id === category.id);
  return [
    fold,
    ...own.map((row): Line => ({ key: `${category.id} ${row.id}`, row, depth: depth + 1 })),
  ];
}

/** Conversations under the headings of their time, or of whatever else. */
export function withHeadings(
  rows: readonly Summary[],
  headingOf: (row: Summary) => string,
): Line[] {
  let last = '';
  return rows.flatMap((row): Line[] => {
    const heading = headingOf(row);
    if (heading === last) return [{ key: row.id, row }];
    last = heading;
    return [
      { key: `: ${heading}`, heading },
      { key: row.id, row },
    ];
  });
}
