import type { MessageReply } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import { retryOf } from '../protocol/retry-of.js';
import type { Disposition, Reason } from '../protocol/vocabulary.js';
import type { SiteStore } from '../store/site-store.js';

/**
 * The answer to a message as the database has it: its outcome, else that it is in quarantine, else
 * that it is a dead letter.
 *
 * @returns null where the database has nothing on it.
 * @throws MpeError STORE_TRANSIENT | STORE_FAILED
 */
export async function storedReply(
  store: SiteStore,
  clientId: Guid,
  messageId: Guid,
): Promise<MessageReply | null> {
  const outcome = await store.findOutcome(clientId, messageId);
  if (outcome !== null) {
    return answer(messageId, outcome.disposition, outcome.reason, outcome.sealedReply);
  }
  const quarantined = await store.findQuarantined(clientId, messageId);
  if (quarantined !== null) return answer(messageId, 'QUARANTINED', quarantined.reason, '');
  const dead = await store.findDeadLetter(clientId, messageId);
  // Once it was redriven it is no dead letter any more: the next delivery runs it again.
  if (dead !== null && dead.redrivenAtMs === null) return answer(messageId, 'REJECTED', 'DEAD_LETTERED', '');
  return null;
}

/** The answer to a message that is in the queue. */
export function queuedReply(messageId: Guid): MessageReply {
  return answer(messageId, 'QUEUED', 'NONE', '');
}

function answer(
  messageId: Guid,
  disposition: Disposition,
  reason: Reason,
  sealedReply: string,
): MessageReply {
  return {
    messageId,
    disposition,
    reason,
    retry: retryOf(disposition, reason),
    retryAfterSeconds: 0,
    sealedReply,
  };
}

/** 202 where the message is kept but not decided, else 200. */
export function replyStatus(reply: Pick<MessageReply, 'disposition'>): number {
  return reply.disposition === 'QUEUED' || reply.disposition === 'QUARANTINED' ? 202 : 200;
}
