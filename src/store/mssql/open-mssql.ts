import { sqlServerName, type SqlServerTarget } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { Connection } from './connection.js';
import { refuseUnfinishedCopy } from './copy-record.js';
import { durability } from './durability.js';
import { requireGrants, type ProcessKind } from './grants.js';
import { checkSchema, loadMigrations } from './migrate.js';
import { MssqlStore } from './mssql-store.js';
import { openConnection } from './open-connection.js';
import { run } from './run.js';

/** How a SQL Server store is opened. */
export interface OpenMssqlOptions {
  /** For processes that only read: durability does not matter to them, and is not asked for. */
  readonly readOnly: boolean;
  readonly clock: Clock;
  /** Connections at most. */
  readonly poolMax: number;
  /** The login must have the rights of this kind of process; absent: what it does will tell. */
  readonly kind?: ProcessKind;
}

/**
 * Opens the site database on SQL Server. It changes nothing there: the schema must be this
 * release's (`mpe migrate` makes it so).
 *
 * @throws MpeError SCHEMA_MISMATCH, COPY_UNFINISHED, STORE_NOT_DURABLE, STORE_TRANSIENT where the
 *   server does not answer, STORE_FAILED where it refuses the login or does not give it the rights.
 */
export async function openMssql(target: SqlServerTarget, options: OpenMssqlOptions): Promise<MssqlStore> {
  return openOver(await openConnection(target, options.poolMax), sqlServerName(target), options);
}

/**
 * The same over connections that stand; they are closed with the store, and where it does not open.
 *
 * @param name the server and database, for error texts
 */
export async function openOver(
  connection: Connection,
  name: string,
  options: Omit<OpenMssqlOptions, 'poolMax'>,
): Promise<MssqlStore> {
  try {
    await run(`reading the schema of ${name}`, () => checkSchema(connection, loadMigrations()));
    const { kind } = options;
    if (kind !== undefined) await run(`reading the rights in ${name}`, () => requireGrants(connection, kind));
    await run(`reading the state of ${name}`, () => refuseUnfinishedCopy(connection));
    if (!options.readOnly) {
      const report = await run(`reading the durability of ${name}`, () => durability(connection));
      if (!report.durable) throw new MpeError('STORE_NOT_DURABLE', `${name}: ${report.detail}`);
    }
    return new MssqlStore(connection, options.clock, { readOnly: options.readOnly });
  } catch (error) {
    await connection.close();
    throw error;
  }
}
