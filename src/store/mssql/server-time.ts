import type { SqlServerTarget } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import { time } from './columns.js';
import { openConnection } from './open-connection.js';
import { run } from './run.js';
import { firstRow } from './session.js';

/**
 * The server's clock, milliseconds since the epoch; needs no schema.
 *
 * @throws MpeError STORE_TRANSIENT, STORE_FAILED
 */
export async function readServerTime(target: SqlServerTarget): Promise<number> {
  const connection = await openConnection(target, 1);
  try {
    const sets = await run('reading the clock of the server', () =>
      connection.query('SELECT SYSUTCDATETIME() AS Now;'),
    );
    const row = firstRow(sets);
    if (row === undefined) throw new MpeError('INTERNAL', 'a SELECT without FROM answered no row');
    return time(row, 'Now');
  } finally {
    await connection.close();
  }
}
