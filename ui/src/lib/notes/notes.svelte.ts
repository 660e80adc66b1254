import { SvelteMap } from 'svelte/reactivity';
import { api, newId, ok, type Message, type Note } from '#lib/api/client';

/** The notes beside the messages of one conversation. */
export class Notes {
  all = $state.raw<readonly Note[]>([]);
  hasLoaded = $state(false);
  /** The message whose notes are shown. */
  shown = $state.raw<Message | null>(null);
  /** What is being written, by message: it stays when other notes are looked at. */
  readonly drafts = new SvelteMap<string, string>();
  readonly #id: string;
  #turn = 0;

  constructor(id: string) {
    this.#id = id;
  }

  of(message: string): Note[] {
    return this.all.filter((each) => each.message_id === message);
  }

  show(message: Message | null): void {
    this.shown = message;
  }

  async read(): Promise<void> {
    const turn = ++this.#turn;
    const params = { path: { conversation_id: this.#id } };
    const found = await ok(api.GET('/conversations/{conversation_id}/notes', { params }));
    // What was asked for later is newer.
    if (turn !== this.#turn) return;
    this.all = found.notes;
    this.hasLoaded = true;
  }

  async write(message: string, content: string): Promise<void> {
    const params = {
      path: { conversation_id: this.#id },
      header: { 'Idempotency-Key': newId() },
    };
    const body = { message_id: message, content };
    const made = await ok(api.POST('/conversations/{conversation_id}/notes', { params, body }));
    this.drafts.delete(message);
    // A live event may have shown it before.
    this.all = [...this.all.filter((each) => each.id !== made.id), made];
  }

  async change(note: Note, content: string): Promise<void> {
    const params = { path: { conversation_id: this.#id, note_id: note.id } };
    const path = '/conversations/{conversation_id}/notes/{note_id}' as const;
    const changed = await ok(api.PATCH(path, { params, body: { content } }));
    this.all = this.all.map((each) => (each.id === changed.id ? changed : each));
  }

  async remove(note: Note): Promise<void> {
    const params = { path: { conversation_id: this.#id, note_id: note.id } };
    await ok(api.DELETE('/conversations/{conversation_id}/notes/{note_id}', { params }));
    this.all = this.all.filter((each) => each.id !== note.id);
  }
}
