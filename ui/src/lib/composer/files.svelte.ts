import { newId, refusalOf, type Attachment, type FilePart } from '#lib/api/client';
import { session } from '#lib/state/session.svelte';
import { inComposer } from '#lib/words/composer';

/** So many a message may show. */
export const MOST_FILES = 20;
const BYTES = 1024 * 1024;

/** A file that was chosen, and what of it the service has. */
export class ChosenFile {
  readonly file: File;
  readonly key = newId();
  /** The part that has arrived, from 0 to 1. */
  share = $state(0);
  attachment: Attachment | undefined;

  constructor(file: File) {
    this.file = file;
  }

  get name(): string {
    return this.file.name || inComposer.files.unnamed;
  }
}

/** The files that the next message is to show; they are stored when it is sent. */
export class ChosenFiles {
  list = $state.raw<ChosenFile[]>([]);
  isUploading = $state(false);
  /** Why some were not taken, or could not be stored. */
  failure = $state('');
  #closing = new AbortController();

  add(files: Iterable<File>): void {
    const most = session.config?.attachment_megabytes ?? 25;
    let refused = '';
    for (const file of files) {
      if (file.size > most * BYTES) refused = inComposer.files.tooLarge(file.name, most);
      else if (this.list.length === MOST_FILES) refused = inComposer.files.tooMany(MOST_FILES);
      else this.list = [...this.list, new ChosenFile(file)];
    }
    this.failure = refused;
  }

  remove(chosen: ChosenFile): void {
    this.list = this.list.filter((each) => each !== chosen);
    this.failure = '';
  }

  clear(): void {
    this.#closing.abort();
    this.#closing = new AbortController();
    this.list = [];
    this.failure = '';
  }

  /** Store them beside a conversation, those that are not there yet; return what shows them. */
  async upload(conversation: string): Promise<FilePart[]> {
    const { signal } = this.#closing;
    this.isUploading = true;
    this.failure = '';
    try {
      for (const each of this.list) each.attachment ??= await send(each, conversation, signal);
      return this.list.map(({ attachment }) => partOf(attachment));
    } finally {
      this.isUploading = false;
    }
  }

  /** Stop storing them; what is stored by now is not stored again. */
  stop(): void {
    this.#closing.abort();
    this.#closing = new AbortController();
  }
}

function partOf(attachment: Attachment | undefined): FilePart {
  if (!attachment) throw new TypeError('a file was not stored');
  const { id, name, mime, size } = attachment;
  return {
    type: 'file',
    attachment_id: id,
    ...(name === null ? {} : { name }),
    ...(mime === null ? {} : { mime }),
    ...(size === null ? {} : { size }),
  } as FilePart;
}

/** Send one; only this kind of request tells how far it has come. */
function send(chosen: ChosenFile, conversation: string, signal: AbortSignal): Promise<Attachment> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const name = encodeURIComponent(chosen.name.slice(-255));
    request.open('POST', `/conversations/${conversation}/attachments?name=${name}`);
    request.setRequestHeader('Content-Type', chosen.file.type || 'application/octet-stream');
    request.setRequestHeader('Idempotency-Key', chosen.key);
    request.upload.onprogress = (event) => {
      chosen.share = event.loaded / Math.max(1, event.total);
    };
    request.onload = () => {
      const headers = { 'Retry-After': request.getResponseHeader('Retry-After') ?? '' };
      const response = new Response(request.responseText, { status: request.status, headers });
      if (response.ok) resolve(response.json() as Promise<Attachment>);
      else void refusalOf(response).then(reject, reject);
    };
    request.onerror = () => {
      reject(new TypeError('the connection broke'));
    };
    request.onabort = () => {
      reject(new DOMException('stopped', 'AbortError'));
    };
    signal.addEventListener('abort', () => {
      request.abort();
    });
    request.send(chosen.file);
  });
}
