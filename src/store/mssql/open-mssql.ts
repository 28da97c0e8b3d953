import { sqlServerName, type SqlServerTarget } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import { Connection } from './connection.js';
import { durability } from './durability.js';
import { checkSchema, loadMigrations } from './migrate.js';
import { MssqlStore } from './mssql-store.js';
import { run } from './run.js';

/** How a SQL Server store is opened. */
export interface OpenMssqlOptions {
  /** For processes that only read: durability does not matter to them, and is not asked for. */
  readonly readOnly: boolean;
  readonly clock: Clock;
  /** Connections at most. */
  readonly poolMax: number;
}

/**
 * Opens the site database on SQL Server. It changes nothing there: the schema must be this
 * release's (`mpe migrate` makes it so).
 *
 * @throws MpeError SCHEMA_MISMATCH, STORE_NOT_DURABLE, STORE_TRANSIENT where the server does not
 *   answer, STORE_FAILED where it refuses the login.
 */
export async function openMssql(target: SqlServerTarget, options: OpenMssqlOptions): Promise<MssqlStore> {
  const name = sqlServerName(target);
  const connection = await openConnection(target, options.poolMax);
  try {
    await run(`reading the schema of ${name}`, () => checkSchema(connection, loadMigrations()));
    if (!options.readOnly) {
      const report = await run(`reading the durability of ${name}`, () => durability(connection));
      if (!report.durable) throw new MpeError('STORE_NOT_DURABLE', `${name}: ${report.detail}`);
    }
    return new MssqlStore(connection, options.clock);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * The connections alone, for what works without a schema: `mpe migrate`.
 *
 * @throws MpeError STORE_TRANSIENT or STORE_FAILED that name the server, never the password
 */
export function openConnection(target: SqlServerTarget, poolMax: number): Promise<Connection> {
  return run(`connecting to ${sqlServerName(target)}`, () => Connection.open(target, { poolMax }));
}
