import { setTimeout as sleep } from 'node:timers/promises';
import { MpeError } from '../../../ops/errors.js';
import type { Connection } from '../connection.js';
import { isTransient, isUniqueViolation } from '../errors.js';
import type { Session } from '../session.js';

/** Tries of one transaction, the first included. */
const TRIES = 8;

/**
 * Runs `work` in a transaction that ends in time, whatever it waits for: when the time is over its
 * connection is destroyed, with which the server rolls back, and no statement follows.
 *
 * A rival's row or a deadlock is tried again while there is time. A lost answer, that of COMMIT
 * included, is not: the caller looks for the row.
 */
export async function auditTransaction<T>(
  connection: Connection,
  withinMs: number,
  work: (tx: Session) => Promise<T>,
): Promise<T> {
  const endsAt = performance.now() + withinMs;
  const timed = async (tx: Session): Promise<T> =>
    work({
      query: (text, parameters) => {
        if (performance.now() >= endsAt) throw late();
        return tx.query(text, parameters);
      },
    });
  for (let tries = 1; ; tries += 1) {
    const leftMs = Math.ceil(endsAt - performance.now());
    if (leftMs <= 0) throw late();
    try {
      return await inTime(connection.transaction(timed, leftMs), leftMs);
    } catch (error) {
      const rival = isUniqueViolation(error) && !isUniqueViolation(error, 'UX_MPE_Audit_RequestId');
      if (tries >= TRIES || !(rival || isDeadlock(error))) throw error;
    }
    await sleep(Math.random() * 10 * tries);
  }
}

/** A deadlock's victim was rolled back for certain. */
function isDeadlock(error: unknown): boolean {
  return isTransient(error) && (error as { number?: unknown }).number === 1205;
}

/** Waiting for a free connection is bounded here; a late one is the connection's own to end. */
async function inTime<T>(work: Promise<T>, leftMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), leftMs);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

function late(): MpeError {
  return new MpeError(
    'STORE_TRANSIENT',
    'the audit row was not written in time: somebody else holds the head of the chain, or the database is slow',
  );
}
