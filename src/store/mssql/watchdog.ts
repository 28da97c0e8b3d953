import sql from 'mssql';
import type { Pool, Requester } from './pool.js';

/**
 * Runs a call of the driver against a deadline of our own.
 *
 * The driver's time-outs are not enough: its request timer stops at the first packet of the answer,
 * is not there while it waits for the socket to take the request, and ends by asking the server for
 * a cancel. On a half-open connection (the peer or a firewall went away without a word) each of
 * them can wait for ever. When the deadline passes, the connection is destroyed, so that it never
 * comes back to the pool, and the work fails with an error without a number: transient.
 *
 * The clock starts when the requester has its connection; waiting for one is bounded by the pool.
 *
 * @param requester the request or transaction whose connection the call uses.
 * @param doing what the call is, for the error text: `commit`.
 */
export async function watch<T>(
  pool: Pool,
  requester: Requester,
  doing: string,
  deadlineMs: number,
  call: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let settled = false;
  const late = new Promise<never>((_, reject) => {
    pool.whenAcquired(requester, () => {
      if (settled) return;
      timer = setTimeout(() => {
        reject(lateError(doing, deadlineMs));
        pool.destroyConnectionOf(requester);
      }, deadlineMs);
    });
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    settled = true;
    clearTimeout(timer);
  }
}

/** The error of a deadline that passed. */
export function lateError(doing: string, deadlineMs: number): Error {
  return new sql.ConnectionError(
    `the database did not answer a ${doing} within ${deadlineMs} ms; its connection was closed`,
    'ETIMEOUT',
  );
}
