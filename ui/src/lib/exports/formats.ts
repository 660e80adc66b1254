import { refusalOf, type ExportFormat } from '#lib/api/client';
import { download } from '#lib/api/download';

export const FORMATS = [
  'markdown',
  'html',
  'pdf',
  'json',
  'ndjson',
  'openai',
  'sharegpt',
] as const satisfies ExportFormat[];

/** So many can be named in the address of a download. */
export const MOST_NAMED = 200;

/**
 * Let the browser save conversations as they are streamed.
 *
 * PDFs are made as a whole before the first byte, and may be refused: that is told here.
 */
export async function save(ids: string[], format: ExportFormat): Promise<void> {
  const [first = ''] = ids;
  const address =
    ids.length === 1
      ? `/conversations/${first}/export?format=${format}`
      : `/conversations/export?format=${format}${ids.length ? `&ids=${ids.join(',')}` : ''}`;
  if (format !== 'pdf') {
    download(address);
    return;
  }
  const response = await fetch(address);
  if (!response.ok) throw await refusalOf(response);
  const url = URL.createObjectURL(await response.blob());
  download(url, nameOf(response));
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}

/** The name that an answer gives its file. */
function nameOf(response: Response): string {
  const header = response.headers.get('Content-Disposition') ?? '';
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(header)?.[1];
  return encoded ? decodeURIComponent(encoded) : (/filename="([^"]+)"/.exec(header)?.[1] ?? '');
}
