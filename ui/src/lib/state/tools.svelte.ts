import { api, ok, type Tool } from '#lib/api/client';

/** The tools that can be called now. */
class Tools {
  all = $state.raw<Tool[] | null>(null);
  #reading: Promise<Tool[]> | undefined;

  find(name: string): Tool | undefined {
    return this.all?.find((tool) => tool.name === name);
  }

  /** Whether there is a tool at all that this person may use. */
  get isAny(): boolean {
    return this.all?.some((tool) => tool.permitted) ?? false;
  }

  read(): Promise<Tool[]> {
    if (this.all) return Promise.resolve(this.all);
    this.#reading ??= this.refresh().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async refresh(): Promise<Tool[]> {
    this.all = await ok(api.GET('/mcp/tools'));
    return this.all;
  }
}

export const tools = new Tools();
