import { api, ok, type Category } from '#lib/api/client';

/** My categories: a tree of two levels, each before those within it. */
class Categories {
  all = $state.raw<Category[]>([]);
  #reading: Promise<Category[]> | undefined;
  #hasRead = false;

  find(id: string | null | undefined): Category | undefined {
    return this.all.find((each) => each.id === id);
  }

  /** Those at the top. */
  get top(): Category[] {
    return this.all.filter((each) => !each.parent_id);
  }

  within(id: string): Category[] {
    return this.all.filter((each) => each.parent_id === id);
  }

  /** The names that lead to one: "Private / Journeys". */
  pathOf(category: Category): string {
    const parent = this.find(category.parent_id);
    return parent ? `${parent.name} / ${category.name}` : category.name;
  }

  read(): Promise<Category[]> {
    if (this.#hasRead) return Promise.resolve(this.all);
    this.#reading ??= this.refresh().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async refresh(): Promise<Category[]> {
    this.all = (await ok(api.GET('/categories'))).categories;
    this.#hasRead = true;
    return this.all;
  }
}

export const categories = new Categories();
