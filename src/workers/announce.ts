import { messageLogger, type Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import type { MessageReply } from '../protocol/client-message.js';
import { bodyTypeWord } from '../protocol/wire-enums.js';
import type { MessageJob } from '../queue/index.js';

/** Event codes of the log, one a disposition. Stable: alarms rest on them. */
const EVENTS = {
  QUEUED: 'message.delayed',
  COMMITTED: 'message.committed',
  ALREADY_COMMITTED: 'message.already_committed',
  PARTIAL: 'message.partial',
  REJECTED: 'message.rejected',
  QUARANTINED: 'message.quarantined',
} as const satisfies Record<MessageReply['disposition'], string>;

/** What is known beside the reply. */
export interface AnnouncedFacts {
  readonly cause: string;
  readonly keysWritten: number;
  readonly tookMs: number;
  readonly attempt: number;
}

/**
 * Says what became of a message in the log and the metrics. Facts as MBAM gave them (who, what,
 * result), no content; `cause` is precise where the outward answer is not.
 */
export function announce(
  job: MessageJob,
  reply: MessageReply,
  facts: AnnouncedFacts,
  log: Logger,
  metrics: Metrics,
): void {
  const type = bodyTypeWord(job.bodyType);
  const line = {
    event: EVENTS[reply.disposition],
    ...(reply.reason === 'NONE' ? {} : { reason: reply.reason }),
    ...(facts.cause === '' ? {} : { cause: facts.cause }),
    keysWritten: facts.keysWritten,
    tookMs: Math.round(facts.tookMs * 10) / 10,
    gatewayId: job.gatewayId,
  };
  const child = messageLogger(log, {
    clientId: job.clientId,
    messageId: job.messageId,
    bodyType: type,
    attempt: facts.attempt,
  });
  if (reply.disposition === 'REJECTED' || reply.disposition === 'QUARANTINED') child.warn(line);
  else child.info(line);

  const outcome = reply.reason === 'NONE' ? reply.disposition : `${reply.disposition}_${reply.reason}`;
  metrics.processed.inc({ type: typeof type === 'number' ? 'UNKNOWN' : type, outcome });
  if (reply.disposition === 'ALREADY_COMMITTED') metrics.duplicates.inc();
  if (reply.disposition === 'QUARANTINED') metrics.quarantined.inc({ reason: reply.reason });
  if (reply.reason === 'CANNOT_OPEN') {
    // The stage alone: the text of a cause is not bounded.
    metrics.decryptFailures.inc({ reason: facts.cause.split(':')[0] ?? 'unknown' });
  }
}
