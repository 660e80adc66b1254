import { api, newId, ok, Refused, refusalOf, sentence, type Upload } from '#lib/api/client';
import { delay, pause } from '#lib/api/waiting';
import { local } from '#lib/store/local';

// Bytes that are sent at once, and are sent again where the connection breaks.
const PART = 8 * 1024 * 1024;
const HEADERS = { 'Tus-Resumable': '1.0.0' };

interface Uploading {
  signal: AbortSignal;
  /** How many bytes of the file have arrived. */
  arrived: (bytes: number) => void;
  connected: (isConnected: boolean) => void;
  /** A limit of requests is met, which is waited for; without one the words are empty. */
  limited: (words: string) => void;
}

/**
 * Upload a file in parts, as tus 1.0 has it, and go on where a connection broke off.
 *
 * A page that is opened again goes on, too, if the same file is chosen.
 *
 * @returns the id of the upload.
 */
export async function upload(file: File, options: Uploading): Promise<string> {
  const { signal } = options;
  const name = `upload.${file.name}.${file.size}.${file.lastModified}`;
  const key = newId();
  let tries = 0;
  let begun: Upload | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      begun = begun
        ? await find(begun.id)
        : ((await known(name, file)) ?? (await begin(file, key)));
      local.set(name, begun.id);
      for (let offset = begun.offset; offset < file.size; tries = 0) {
        options.connected(true);
        options.limited('');
        options.arrived(offset);
        offset = await send(begun.id, file, offset, signal);
      }
      options.arrived(file.size);
      local.drop(name);
      return begun.id;
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      const wait = error instanceof Refused && error.status === 429 ? error.retryAfter * 1000 : 0;
      options.connected(wait > 0);
      options.limited(wait ? sentence(error) : '');
      await pause(Math.max(wait, delay(tries++)), signal);
    }
  }
}

export async function discard(id: string): Promise<void> {
  await ok(
    api.DELETE('/imports/uploads/{upload_id}', { params: { path: { upload_id: id } } }),
  ).catch(() => undefined);
}

/** Whether the same may succeed later: where the offset is another one, it is asked for anew. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof Refused)) return true;
  const isAtWork = error.code === 'wrong_offset' || error.code === 'upload_busy';
  return isAtWork || error.status === 408 || (error.isPassing && error.code !== 'no_space');
}

function find(id: string): Promise<Upload> {
  return ok(api.GET('/imports/uploads/{upload_id}', { params: { path: { upload_id: id } } }));
}

/** What an earlier page left of the same file. */
async function known(name: string, file: File): Promise<Upload | undefined> {
  const id = local.get(name);
  if (!id) return undefined;
  try {
    const found = await find(id);
    return found.length === file.size ? found : undefined;
  } catch (error) {
    if (error instanceof Refused && !error.isPassing) return undefined;
    throw error;
  }
}

async function begin(file: File, key: string): Promise<Upload> {
  const bytes = new TextEncoder().encode(file.name.slice(-200));
  const filename = btoa(String.fromCharCode(...bytes));
  const response = await fetch('/imports/uploads', {
    method: 'POST',
    headers: {
      ...HEADERS,
      'Idempotency-Key': key,
      'Upload-Length': String(file.size),
      'Upload-Metadata': `filename ${filename}`,
    },
  });
  if (!response.ok) throw await refusalOf(response);
  return (await response.json()) as Upload;
}

/** Send one part; returns where the next begins. */
async function send(id: string, file: File, offset: number, signal: AbortSignal): Promise<number> {
  const response = await fetch(`/imports/uploads/${id}`, {
    method: 'PATCH',
    headers: {
      ...HEADERS,
      'Content-Type': 'application/offset+octet-stream',
      'Upload-Offset': String(offset),
    },
    body: file.slice(offset, offset + PART),
    signal,
  });
  if (!response.ok) throw await refusalOf(response);
  return Number(response.headers.get('Upload-Offset'));
}
