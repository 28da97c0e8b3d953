import { join } from 'node:path';
import { MpeError } from '../../ops/errors.js';
import { countApplied, readMigrations, type Migration } from '../migrations.js';
import { flag, integer, text } from './columns.js';
import type { Connection } from './connection.js';

const FOLDER = join(import.meta.dirname, 'migrations');

/** The migrations that this release knows. */
export function loadMigrations(folder = FOLDER): Migration[] {
  return readMigrations(folder);
}

/**
 * Brings the schema up to this release, in one transaction. Several processes may start at once:
 * the write lock lets one in, the others then find nothing to do. A schema with more migrations
 * than this release knows is fine unless one of them is breaking, so that two releases can run side
 * by side.
 *
 * Synchronous; the caller retries while the lock is taken.
 *
 * @returns the numbers of the migrations that this call applied.
 * @throws MpeError SCHEMA_MISMATCH where a newer breaking migration, or another text of a known
 *   one, was applied.
 */
export function migrate(connection: Connection, migrations: readonly Migration[], nowMs: number): number[] {
  return connection.immediate(() => {
    connection.db.exec(`
      CREATE TABLE IF NOT EXISTS MPE_Migrations (
        Number INTEGER PRIMARY KEY,
        Breaking INTEGER NOT NULL CHECK (Breaking IN (0, 1)),
        Digest TEXT NOT NULL,
        AppliedAt INTEGER NOT NULL
      ) STRICT`);
    const pending = migrations.slice(checkSchema(connection, migrations));
    for (const migration of pending) {
      connection.db.exec(migration.sql);
      connection.run(
        'INSERT INTO MPE_Migrations (Number, Breaking, Digest, AppliedAt) VALUES (?, ?, ?, ?)',
        migration.number,
        migration.breaking ? 1 : 0,
        migration.digest,
        nowMs,
      );
    }
    return pending.map((migration) => migration.number);
  });
}

/** Whether the file has been migrated at all. */
export function hasSchema(connection: Connection): boolean {
  const table = connection.get(
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'MPE_Migrations'",
  );
  return table !== undefined;
}

/**
 * Compares the applied migrations with the known ones. Returns how many of the known ones are
 * applied.
 *
 * @throws MpeError SCHEMA_MISMATCH as {@link migrate}, also where there is no schema at all.
 */
export function checkSchema(connection: Connection, migrations: readonly Migration[]): number {
  if (!hasSchema(connection)) {
    throw new MpeError('SCHEMA_MISMATCH', 'the file holds no site database: run `mpe site init` first');
  }
  const rows = connection.all('SELECT Number, Breaking, Digest FROM MPE_Migrations ORDER BY Number');
  const applied = rows.map((row) => ({
    number: integer(row, 'Number'),
    breaking: flag(row, 'Breaking'),
    digest: text(row, 'Digest'),
  }));
  return countApplied(applied, migrations);
}
