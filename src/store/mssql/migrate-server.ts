import type { SqlServerTarget } from '../../config/index.js';
import { appliedMigrations, loadMigrations, migrate } from './migrate.js';
import type { Connection } from './connection.js';
import { openConnection } from './open-connection.js';
import { applyRoles } from './roles.js';
import { run } from './run.js';

/** A statement of a migration may build an index on full tables. */
const STATEMENT_MS = 30 * 60_000;

/** How many of the known migrations a database has. Reads alone. */
export function readServerSchema(
  target: SqlServerTarget,
  folder?: string,
): Promise<{ readonly applied: number; readonly known: number }> {
  const migrations = loadMigrations(folder);
  return withConnection(target, async (connection) => ({
    applied: await run('reading the schema', () => appliedMigrations(connection, migrations)),
    known: migrations.length,
  }));
}

/** Applies the missing migrations; answers their numbers. */
export function migrateServer(target: SqlServerTarget, nowMs: number, folder?: string): Promise<number[]> {
  return withConnection(patient(target), (connection) => migrate(connection, loadMigrations(folder), nowMs));
}

/** Makes the roles and gives them their rights. */
export function applyServerRoles(target: SqlServerTarget): Promise<void> {
  return withConnection(patient(target), applyRoles);
}

const patient = (target: SqlServerTarget): SqlServerTarget => ({
  ...target,
  requestTimeoutMs: Math.max(target.requestTimeoutMs, STATEMENT_MS),
});

async function withConnection<T>(
  target: SqlServerTarget,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await openConnection(target, 1);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}
