import { SvelteMap } from 'svelte/reactivity';
import { api, ok, type Attachment } from '#lib/api/client';

// What browsers show without running anything, and the service gives out under these names.
const PICTURES = /^image\/(png|jpeg|gif|webp|avif)$/;
// Larger ones are shown when they are asked for, as files.
const MOST_SHOWN = 16_000_000;

/** The files of a conversation, read when the first message shows one. */
export class Attachments {
  hasRead = $state(false);
  readonly #conversation: string;
  readonly #known = new SvelteMap<string, Attachment>();
  #reading: Promise<void> | undefined;

  constructor(conversation: string) {
    this.#conversation = conversation;
  }

  find(id: string): Attachment | undefined {
    return this.#known.get(id);
  }

  addressOf(id: string): string {
    return `/conversations/${this.#conversation}/attachments/${encodeURIComponent(id)}`;
  }

  /** Read the list, once for all that is shown; a later file has it read again. */
  async read(id: string): Promise<void> {
    await this.#reading;
    if (this.#known.has(id)) return;
    this.#reading = this.#read().catch(() => undefined);
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { attachments } = await ok(
      api.GET('/conversations/{conversation_id}/attachments', {
        params: { path: { conversation_id: this.#conversation } },
      }),
    );
    for (const each of attachments) this.#known.set(each.id, each);
    this.hasRead = true;
  }
}

/** Whether a file is shown as a picture. */
export function isPicture(file: Attachment): boolean {
  return PICTURES.test(file.mime ?? '') && (file.size ?? 0) <= MOST_SHOWN;
}
