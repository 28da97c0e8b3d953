import { setTimeout as sleep } from 'node:timers/promises';
import { isMpeError, MpeError } from '../../ops/errors.js';
import { isTransient, isUniqueViolation } from './errors.js';

/** Tries of one piece of work, the first included. */
const TRIES = 12;
/** No new try begins after this. */
const WAIT_MS = 10_000;

/**
 * Runs work again where a rival's row was there first (unique violation: what was read is no longer
 * so, read again) and where the server rolled it back or did not answer (deadlock, time-out, lost
 * connection). The pause has jitter, so that rivals do not meet again.
 *
 * Only for work that may take effect twice: an answer that was lost, that of COMMIT included, leaves
 * open whether it did.
 *
 * @param doing what the work is, for the error text
 * @throws MpeError STORE_TRANSIENT where it lost the race every time; else the last error, unchanged
 */
export async function again<T>(doing: string, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + WAIT_MS;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const raced = isUniqueViolation(error);
      if (!raced && !isTransient(error) && !isMpeError(error, 'STORE_TRANSIENT')) throw error;
      if (tries >= TRIES || performance.now() > giveUpAt) {
        if (!raced) throw error;
        throw new MpeError('STORE_TRANSIENT', `${doing}: others were first ${tries} times in a row`, {
          cause: error,
        });
      }
    }
    await sleep(Math.random() * Math.min(250, 4 * 2 ** tries));
  }
}
