import { Refused } from '#lib/api/client';
import { pause } from '#lib/api/waiting';

// So long after a failure it is tried again.
const AGAIN = 3_000;

/**
 * Return what has some work done soon: at once, or once for all calls while it is under way.
 *
 * @param rest - milliseconds from the end of the work to the next.
 */
export function gathered(
  work: () => Promise<unknown>,
  rest: number,
  signal?: AbortSignal,
): () => void {
  let isWanted = false;
  let isRunning = false;
  const run = async () => {
    isRunning = true;
    while (isWanted && !signal?.aborted) {
      isWanted = false;
      let failed = false;
      try {
        await work();
      } catch (error) {
        // What is refused stays so; a connection comes back.
        failed = !(error instanceof Refused) || error.isPassing;
      }
      isWanted ||= failed;
      await pause(failed ? AGAIN : rest, signal);
    }
    isRunning = false;
  };
  return () => {
    isWanted = true;
    if (!isRunning) void run();
  };
}
