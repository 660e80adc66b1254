import { api, newId, ok, sentence, type ImportJob } from '#lib/api/client';
import { followStream } from '#lib/api/events';
import type { ImportChoice } from './choice';
import { discard, upload } from './upload';

const ENDED = ['completed', 'nothing_imported', 'cancelled', 'failed'];

export function hasEnded(job: ImportJob): boolean {
  return ENDED.includes(job.state);
}

/** An import of large or several files: uploaded, tried, and carried out by the service. */
export class BackgroundImport {
  readonly names: string[];
  readonly size: number;
  job = $state.raw<ImportJob>();
  isUploading = $state(false);
  uploaded = $state(0);
  isConnected = $state(true);
  /** Which limit is waited for. */
  limit = $state('');
  isCancelling = $state(false);
  failure = $state('');
  readonly #files: File[];
  readonly #options: ImportChoice;
  #uploads: string[] = [];
  readonly #closing = new AbortController();

  constructor(files: File[], options: ImportChoice, job?: ImportJob) {
    this.#files = files;
    this.#options = options;
    this.names = job ? job.names : files.map((each) => each.name);
    this.size = job ? job.size : files.reduce((sum, each) => sum + each.size, 0);
    this.job = job;
  }

  /** Stop looking at it; what the service does goes on. */
  close(): void {
    this.#closing.abort();
  }

  /** Upload what is not there yet, and ask what would be imported. */
  async look(): Promise<void> {
    await this.#attempt(async () => {
      this.isUploading = true;
      let before = 0;
      for (const [index, file] of this.#files.entries()) {
        this.#uploads[index] ??= await upload(file, {
          signal: this.#closing.signal,
          arrived: (bytes) => (this.uploaded = before + bytes),
          connected: (isConnected) => (this.isConnected = isConnected),
          limited: (words) => (this.limit = words),
        });
        before += file.size;
      }
      this.isUploading = false;
      this.limit = '';
      await this.#run(true);
    });
  }

  async bringIn(): Promise<void> {
    await this.#attempt(() => this.#run(false));
  }

  /** Follow one that was begun before. */
  async follow(): Promise<void> {
    await this.#attempt(() => this.#follow());
  }

  /** Let it end, at whatever step it is. */
  async cancel(): Promise<void> {
    const job = this.job;
    if (job && !hasEnded(job)) {
      this.isCancelling = true;
      const params = { path: { import_id: job.id }, header: { 'Idempotency-Key': newId() } };
      await ok(api.POST('/imports/{import_id}/cancel', { params }));
      return;
    }
    this.close();
    if (!job || job.options.dry_run) await Promise.all(this.#uploads.map(discard));
  }

  async #run(dryRun: boolean): Promise<void> {
    const uploads = this.#uploads.join(',');
    this.job = (await ok(
      api.POST('/imports', {
        params: {
          query: { ...this.#options, upload_id: uploads, dry_run: dryRun, salvage: true },
          header: { 'Idempotency-Key': newId() },
        } as never,
        body: undefined,
      }),
    )) as unknown as ImportJob;
    await this.#follow();
  }

  async #follow(): Promise<void> {
    const job = this.job;
    if (!job || hasEnded(job)) return;
    await followStream({
      address: `/imports/${job.id}/events`,
      after: 0,
      signal: this.#closing.signal,
      take: (event) => {
        if (event.type === 'import') this.job = event.data as unknown as ImportJob;
      },
      connected: (isConnected) => (this.isConnected = isConnected),
      isLast: (event) => hasEnded(event.data as unknown as ImportJob),
    });
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    this.failure = '';
    try {
      await work();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.failure = sentence(error);
    } finally {
      this.isUploading = false;
      this.isCancelling = false;
    }
  }
}
