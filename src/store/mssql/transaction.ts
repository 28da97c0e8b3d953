import sql from 'mssql';
import type { Pool } from './pool.js';
import { watch } from './watchdog.js';

/**
 * Runs `work` between BEGIN and COMMIT at READ COMMITTED.
 *
 * Crash points
 *  * BEGIN fails: nothing was done; its error comes through.
 *  * `work` fails: ROLLBACK, then its error. With XACT_ABORT the server has mostly rolled back by
 *    itself (EABORT). Where the rollback fails as well, the connection is destroyed, with which the
 *    server rolls back.
 *  * The server has rolled back and `work` did not pass its error on: COMMIT is not sent, the error
 *    that rolled back comes through.
 *  * COMMIT fails: the server may have committed or not. The connection is destroyed and the error
 *    has no number, so that every caller takes it as transient and reads again what became of it.
 */
export async function inTransaction<T>(
  pool: Pool,
  transaction: sql.Transaction,
  deadlineMs: number,
  work: () => Promise<T>,
): Promise<T> {
  await watch(pool, transaction, 'begin', deadlineMs, () =>
    transaction.begin(sql.ISOLATION_LEVEL.READ_COMMITTED),
  );
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await rollback(pool, transaction, deadlineMs);
    throw error;
  }
  try {
    await watch(pool, transaction, 'commit', deadlineMs, () => transaction.commit());
  } catch (error) {
    const reason = abortReason(error);
    if (reason !== null) throw reason;
    pool.destroyConnectionOf(transaction);
    throw unknownOutcome(error);
  }
  return result;
}

/** Rolls back; after it no connection has the transaction open, whatever happened. */
async function rollback(pool: Pool, transaction: sql.Transaction, deadlineMs: number): Promise<void> {
  try {
    await watch(pool, transaction, 'rollback', deadlineMs, () => transaction.rollback());
  } catch (error) {
    // The server has rolled back by itself, and the connection is with the pool again.
    if (abortReason(error) !== null) return;
    pool.destroyConnectionOf(transaction);
  }
}

/** Why the server has rolled back by itself, or null where it did not. */
function abortReason(error: unknown): Error | null {
  if (!(error instanceof sql.TransactionError) || error.code !== 'EABORT') return null;
  return error.originalError ?? error;
}

/** The error of a COMMIT: without the number, for it may be done although it says no. */
function unknownOutcome(error: unknown): Error {
  const text = error instanceof Error ? error.message : 'not an error';
  const unknown = new sql.ConnectionError(
    `COMMIT failed, so that the outcome of the transaction is not known: ${text}`,
    'ECOMMIT' as sql.MSSQL_ERROR_CODE,
  );
  return unknown;
}
