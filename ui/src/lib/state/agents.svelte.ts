import { api, ok, type Agent, type Agents } from '#lib/api/client';

/** The built-in agent. */
export const BUILT_IN = '0'.repeat(24);

/** Who can answer. */
class AgentList {
  found = $state.raw<Agents | null>(null);
  #reading: Promise<Agents> | undefined;

  get all(): Agent[] {
    return this.found?.agents ?? [];
  }

  find(id: string | null | undefined): Agent | undefined {
    return this.all.find((agent) => agent.id === (id ?? BUILT_IN));
  }

  /** The model that an agent answers with, as far as that is known. */
  modelOf(agent: Agent): string {
    const providers = this.found?.providers ?? [];
    const provider = agent.provider
      ? providers.find((each) => each.name === agent.provider)
      : providers.find((each) => each.is_default);
    return agent.model ?? provider?.model ?? '';
  }

  read(): Promise<Agents> {
    this.#reading ??= this.refresh().finally(() => (this.#reading = undefined));
    return this.found ? Promise.resolve(this.found) : this.#reading;
  }

  async refresh(): Promise<Agents> {
    this.found = await ok(api.GET('/agents'));
    return this.found;
  }
}

export const agents = new AgentList();
