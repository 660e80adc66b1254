import { onDestroy } from 'svelte';
import { hasGap, type Frame } from './frames';
import { gathered } from './gathered';
import { live } from './live';

// Milliseconds from one reading to the next.
const REST = 300;

/**
 * Read something again soon after each frame that concerns it, and after a gap.
 *
 * Called while a component is made; it ends with the component.
 */
export function reread(read: () => Promise<unknown>, concerns: (frame: Frame) => boolean): void {
  const closing = new AbortController();
  const readSoon = gathered(read, REST, closing.signal);
  const stop = live.on((frame) => {
    if (hasGap(frame) || concerns(frame)) readSoon();
  });
  onDestroy(() => {
    stop();
    closing.abort();
  });
}
