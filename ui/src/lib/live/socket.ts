import { api, ok } from '#lib/api/client';
import { delay, pause } from '#lib/api/waiting';
import type { Frame } from './frames';

/** A heartbeat comes every 30 seconds; a connection that is silent for longer is broken. */
export const SILENT = 45_000;
/** How often silence is looked for. */
export const WATCH = 15_000;
const MINUTE = 60_000;

interface Connecting {
  /** The last id that is known, or nothing. */
  after: () => string;
  take: (frame: Frame) => void;
  signal: AbortSignal;
}

interface Ending {
  wasOpen: boolean;
  /** After so many milliseconds the service wants to be asked again. */
  retry?: number | undefined;
}

/** Stay connected to the service's events, however often the connection breaks. */
export async function stayConnected(options: Connecting): Promise<void> {
  const { signal, take } = options;
  let tries = 0;
  while (!signal.aborted) {
    const { wasOpen, retry } = await connect(options);
    tries = wasOpen ? 0 : tries + 1;
    if (signal.aborted) return;
    // Why a connection is refused, a socket does not tell: an ended session is noticed by this.
    if (!wasOpen && navigator.onLine) await ok(api.GET('/auth/me')).catch(() => undefined);
    take({ type: 'disconnected' });
    await pause(retry ?? delay(tries), signal);
    while (!navigator.onLine && !isAborted(signal)) await pause(MINUTE, signal);
  }
}

const isAborted = (signal: AbortSignal) => signal.aborted;

/** Hand on the frames of one connection, until it ends. */
function connect({ after, take, signal }: Connecting): Promise<Ending> {
  return new Promise((resolve) => {
    const known = after();
    const query = known ? `?after=${encodeURIComponent(known)}` : '';
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws${query}`);
    const ending: Ending = { wasOpen: false };
    let heard = Date.now();

    const end = () => {
      clearInterval(timer);
      socket.onmessage = socket.onclose = null;
      socket.close();
      signal.removeEventListener('abort', end);
      removeEventListener('offline', end);
      removeEventListener('online', look);
      document.removeEventListener('visibilitychange', look);
      resolve(ending);
    };
    // Also after the machine has slept.
    const look = () => {
      if (Date.now() - heard > SILENT) end();
    };
    const timer = setInterval(look, WATCH);
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      heard = Date.now();
      ending.wasOpen = true;
      const frame = JSON.parse(data) as Frame;
      ending.retry = frame.retry_ms;
      take(frame);
    };
    socket.onclose = end;
    signal.addEventListener('abort', end);
    addEventListener('offline', end);
    addEventListener('online', look);
    document.addEventListener('visibilitychange', look);
    if (signal.aborted) end();
  });
}
