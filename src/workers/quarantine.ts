import type { Clock } from '../ops/clock.js';
import type { MessageJob } from '../queue/index.js';
import type { SiteStore } from '../store/site-store.js';
import type { Refusal } from './types.js';

/** What quarantine needs. */
export interface QuarantineOptions {
  readonly store: SiteStore;
  readonly clock: Clock;
  /** Rows that may be kept. */
  readonly bound: number;
}

/**
 * Keeps a message sealed until the site knows the key, client or body type. Bounded; a message that
 * has an outcome already is not kept a second time.
 *
 * @returns `full` where nothing was kept: the client has to come again
 */
export async function quarantine(
  job: MessageJob,
  refusal: Refusal,
  options: QuarantineOptions,
): Promise<'kept' | 'full' | 'decided'> {
  const { store, clock, bound } = options;
  if ((await store.findOutcome(job.clientId, job.messageId)) !== null) return 'decided';
  const nowMs = clock.now();
  return store.quarantine(
    {
      clientId: job.clientId,
      messageId: job.messageId,
      bodyType: job.bodyType,
      reason: refusal.reason,
      kid: refusal.kid,
      sealed: job.sealed,
      attempts: 1,
      firstAtMs: nowMs,
      lastAtMs: nowMs,
    },
    bound,
  );
}
