import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import { VERSION } from '../ops/version.js';
import type { JobData } from '../queue/index.js';
import type { DeadLetterRow, SiteStore } from '../store/site-store.js';

/** Why a message was given up. */
export type DeadLetterCause = 'KILLED_ITS_WORKER' | 'STORE_FAILED' | 'HANDLER_FAILED' | 'QUEUE_FAILED';

/** What dead letters need. */
export interface DeadLetterOptions {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Rows that keep their sealed text. */
  readonly bound: number;
}

/** Whether a dead message gets another try, alone: an operator asked, or a new release is here. */
export function mayRunAgain(row: DeadLetterRow): boolean {
  return row.redrivenAtMs !== null || row.release !== VERSION;
}

/** The names under which a job is a dead letter; a registration goes by its registration id. */
export function deadLetterNames(job: JobData): Pick<DeadLetterRow, 'clientId' | 'messageId'> {
  return job.kind === 'message'
    ? { clientId: job.clientId, messageId: job.messageId }
    : { clientId: job.clientId, messageId: job.registrationId };
}

/**
 * Writes a dead letter: the row comes before the job leaves Redis, so the message is never nowhere.
 *
 * @param detail for the operator, no content
 */
export async function addDeadLetter(
  job: JobData,
  cause: DeadLetterCause,
  detail: string,
  options: DeadLetterOptions,
): Promise<void> {
  const names = deadLetterNames(job);
  await options.store.addDeadLetter(
    {
      ...names,
      bodyType: job.kind === 'message' ? job.bodyType : 0,
      cause,
      detail,
      sealed: job.kind === 'message' ? job.sealed : '',
      release: VERSION,
      resends: 0,
      deadAtMs: options.clock.now(),
      redrivenAtMs: null,
    },
    options.bound,
  );
  options.metrics.deadLetters.inc({ reason: cause });
  options.log.error(
    { event: 'message.dead_lettered', ...names, cause, detail },
    'given up: look with `mpe messages show`, try again with `mpe messages redrive`',
  );
}
