import { existsSync } from 'node:fs';
import { MpeError } from '../ops/errors.js';
import type { StoreLocation } from './open-store.js';
import { migrateSqlite, readSqliteSchema } from './sqlite/schema-state.js';

/** How far the schema of a site database is. */
export interface SchemaState {
  /** Migrations of this release that are applied, from the first on. */
  readonly applied: number;
  /** Migrations that this release knows. */
  readonly known: number;
}

/**
 * The state of the schema. Reads alone, and makes no file.
 *
 * @param folder of the migrations; the release's own where absent.
 * @throws MpeError SCHEMA_MISMATCH where a newer release's breaking migration, or another text of a
 *   known one, is applied.
 */
export async function readSchemaState(location: StoreLocation, folder?: string): Promise<SchemaState> {
  if (location.kind === 'sqlite') {
    return readSqliteSchema(existsSync(location.path) ? location.path : null, folder);
  }
  const { readServerSchema } = await import('./mssql/migrate-server.js');
  return readServerSchema(location.target, folder);
}

/**
 * Brings the schema up to this release. Any number of processes may do so at once.
 *
 * @param folder of the migrations; the release's own where absent.
 * @returns the numbers of the migrations that this call applied.
 * @throws MpeError SCHEMA_MISMATCH as {@link readSchemaState}; STORE_FAILED that names the right that
 *   the login lacks (fact `missingRight`); STORE_TRANSIENT.
 */
export async function migrateStore(
  location: StoreLocation,
  nowMs: number,
  folder?: string,
): Promise<readonly number[]> {
  const { applied, known } = await readSchemaState(location, folder);
  // Who may not change the schema is not asked to where there is nothing to change.
  if (applied === known) return [];
  if (location.kind === 'sqlite') return migrateSqlite(location.path, nowMs, folder);
  const { migrateServer } = await import('./mssql/migrate-server.js');
  return migrateServer(location.target, nowMs, folder);
}

/**
 * Makes the roles of least privilege and gives them their rights; again, it changes nothing.
 *
 * @throws MpeError USAGE for SQLite, which has none.
 */
export async function applyStoreRoles(location: StoreLocation): Promise<void> {
  if (location.kind === 'sqlite') {
    throw new MpeError(
      'USAGE',
      '--roles is for SQL Server: a SQLite file is guarded by its permissions alone',
    );
  }
  const { applyServerRoles } = await import('./mssql/migrate-server.js');
  await applyServerRoles(location.target);
}

/** The statements of {@link applyStoreRoles}, for an administrator who runs them by hand. */
export async function readRoles(): Promise<string> {
  const { readRolesFile } = await import('./mssql/roles.js');
  return readRolesFile();
}
