import { api, ok, type TagCount } from '#lib/api/client';
import { hasGap, type Frame } from '#lib/live/frames';
import { gathered } from '#lib/live/gathered';
import { live } from '#lib/live/live';

// Milliseconds from one counting to the next.
const REST = 2_000;

/** My tags, the most used first. */
class Tags {
  all = $state.raw<TagCount[]>([]);
  hasMore = $state(false);
  hasLoaded = $state(false);

  async refresh(): Promise<void> {
    const { tags, hasMore } = await ok(api.GET('/tags'));
    this.all = tags;
    this.hasMore = hasMore;
    this.hasLoaded = true;
  }

  /** Read them, and again when they may have changed; returns how to stop that. */
  follow(): () => void {
    const closing = new AbortController();
    const readSoon = gathered(() => this.refresh(), REST, closing.signal);
    readSoon();
    const stop = live.on((frame) => {
      if (mayChangeTags(frame)) readSoon();
    });
    return () => {
      stop();
      closing.abort();
    };
  }
}

function mayChangeTags(frame: Frame): boolean {
  if (hasGap(frame) || frame.type === 'conversation.changed') return true;
  if (frame.type === 'conversation.updated') return frame.fields?.includes('tags') ?? true;
  return frame.type === 'conversation.created' || frame.type === 'conversation.deleted';
}

export const tags = new Tags();
