import { Refused, sentence } from '#lib/api/client';
import { inThread } from '#lib/words/thread';

/** Say why something about a thread was refused. */
export function threadSentence(error: unknown): string {
  if (error instanceof Refused && error.code === 'reply_under_way') {
    return inThread.branches.underWay;
  }
  return sentence(error);
}
