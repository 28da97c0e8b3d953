import { setTimeout as sleep } from 'node:timers/promises';
import { isBusy, toStoreError } from './errors.js';

/** How long work waits for the lock in all before it is given back as STORE_TRANSIENT. */
const LOCK_WAIT_MS = 10_000;

/**
 * Runs synchronous database work; while another connection holds the lock, waits without blocking
 * the event loop and runs it again. The wait has jitter, so that several processes that were
 * refused together do not come back together.
 *
 * @param doing what the work is, for the error text.
 * @throws MpeError STORE_TRANSIENT where the lock is not had within 10 seconds, else what
 *   `toStoreError` makes of the error.
 */
export async function retryBusy<T>(doing: string, work: () => T, waitMs = LOCK_WAIT_MS): Promise<T> {
  const giveUpAt = performance.now() + waitMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw toStoreError(error, doing);
    }
    await sleep(Math.random() * Math.min(100, 5 * 2 ** attempt));
  }
}
