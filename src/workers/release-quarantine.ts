import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Clock } from '../ops/clock.js';
import { isMpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import { BODY_TYPES } from '../protocol/vocabulary.js';
import { bodyTypeNumber } from '../protocol/wire-enums.js';
import { SubmitQueue, takeTurn, type MessageJob } from '../queue/index.js';
import type { QuarantineRow, SiteStore } from '../store/site-store.js';
import type { Answer } from './run.js';

/** What stands in a job in place of a gateway where the site itself took the message up again. */
export const RELEASED = 'quarantine';

/** Messages of one round: what waits longer comes in the next, and clients' messages in between. */
const ROUND = 500;
/** Another worker may take the next round after this. */
const TURN_MS = 8000;
/** How long a round waits for the queue's first look at Redis. */
const READY_MS = 2000;

/** What releasing needs. */
export interface ReleaseOptions {
  readonly store: SiteStore;
  readonly siteGuid: Guid;
  readonly redis: Redis;
  readonly redisUrl: string;
  readonly highWater: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Sealing keys that this process opens. */
  readonly sealingKids: readonly string[];
}

/**
 * Puts quarantined messages whose key, client or body type is known by now back into the queue, so that
 * they are processed without waiting for their clients. The row stays until the message is decided.
 * Safe at any time and in any number: a message is in the queue once, and takes effect once.
 *
 * @returns the messages that were put into the queue
 */
export async function releaseQuarantine(options: ReleaseOptions): Promise<number> {
  const { store, clock, log, siteGuid } = options;
  if (!(await takeTurn(options.redis, siteGuid, 'release', TURN_MS))) return 0;
  const rows = await store.findReleasableQuarantine({
    sealingKids: options.sealingKids,
    bodyTypes: BODY_TYPES.map((type) => bodyTypeNumber(type)),
    nowMs: clock.now(),
    limit: ROUND,
  });
  if (rows.length === 0) return 0;
  const queue = SubmitQueue.open({ ...options, log });
  let released = 0;
  try {
    await admitted(queue);
    for (const row of rows) {
      await queue.add(jobOf(row));
      released += 1;
    }
  } catch (error) {
    // Full, or away: clients come first, the next round goes on.
    if (!isMpeError(error, 'QUEUE_FULL') && !isMpeError(error, 'QUEUE_UNAVAILABLE')) throw error;
  } finally {
    await queue.close();
  }
  log.info({ event: 'quarantine.released', messages: released, found: rows.length });
  return released;
}

/**
 * A message that came from quarantine and was decided without a row of its own (a check-in that came
 * late, a reused id, what does not open or verify) has no business there any more.
 */
export async function leaveQuarantine(job: MessageJob, run: Answer, store: SiteStore): Promise<void> {
  const { disposition, reason } = run.reply;
  if (job.gatewayId !== RELEASED || run.written) return;
  if (disposition === 'QUARANTINED' || reason === 'DEAD_LETTERED') return;
  await store.resolveQuarantined(job.clientId, job.messageId, job.sealed);
}

function jobOf(row: QuarantineRow): MessageJob {
  return {
    v: 1,
    kind: 'message',
    clientId: row.clientId,
    messageId: row.messageId,
    bodyType: row.bodyType,
    sentAtMs: row.firstAtMs,
    sealed: row.sealed,
    traceparent: '',
    tracestate: '',
    // The row's client is the one that the channel of its time authenticated.
    channel: { method: 'site-token', clientId: row.clientId, epoch: 1 },
    gatewayId: RELEASED,
    receivedAtMs: row.firstAtMs,
  };
}

/** Nothing is admitted before the first look at Redis is answered. */
async function admitted(queue: SubmitQueue): Promise<void> {
  const until = performance.now() + READY_MS;
  for (;;) {
    try {
      queue.admit();
      return;
    } catch (error) {
      if (!isMpeError(error, 'QUEUE_UNAVAILABLE') || performance.now() > until) throw error;
    }
    await sleep(20);
  }
}
