import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MpeError } from '../../ops/errors.js';
import type { Connection } from './connection.js';
import { integer, text } from './columns.js';

/** A numbered step of the schema. */
export interface Migration {
  readonly number: number;
  /** Releases without it cannot run on the schema that it makes: a line `--! breaking`. */
  readonly breaking: boolean;
  readonly sql: string;
  /** SHA-256 of the text with LF ends, hex: a released migration never changes. */
  readonly digest: string;
}

const FOLDER = join(import.meta.dirname, 'migrations');
const NAME = /^(\d{6})\.sql$/;

/** Reads the numbered .sql files; they must be 1, 2, 3 … without a gap. */
export function loadMigrations(folder = FOLDER): Migration[] {
  const names = readdirSync(folder).filter((name) => NAME.test(name));
  return names.sort().map((name, index) => {
    const number = Number(name.slice(0, 6));
    if (number !== index + 1)
      throw new MpeError('INTERNAL', `migration ${index + 1} is missing before ${name}`);
    const sql = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
    return {
      number,
      breaking: /^--! breaking\s*$/m.test(sql),
      sql,
      digest: createHash('sha256').update(sql).digest('hex'),
    };
  });
}

/**
 * Brings the schema up to this release, in one transaction. Several processes may start at once:
 * the write lock lets one in, the others then find nothing to do. A schema with more migrations
 * than this release knows is fine unless one of them is breaking, so that two releases can run side
 * by side.
 *
 * Synchronous; the caller retries while the lock is taken.
 *
 * @throws MpeError SCHEMA_MISMATCH where a newer breaking migration, or another text of a known
 *   one, was applied.
 */
export function migrate(connection: Connection, migrations: readonly Migration[], nowMs: number): void {
  connection.immediate(() => {
    connection.db.exec(`
      CREATE TABLE IF NOT EXISTS MPE_Migrations (
        Number INTEGER PRIMARY KEY,
        Breaking INTEGER NOT NULL CHECK (Breaking IN (0, 1)),
        Digest TEXT NOT NULL,
        AppliedAt INTEGER NOT NULL
      ) STRICT`);
    const applied = checkSchema(connection, migrations);
    for (const migration of migrations.slice(applied)) {
      connection.db.exec(migration.sql);
      connection.run(
        'INSERT INTO MPE_Migrations (Number, Breaking, Digest, AppliedAt) VALUES (?, ?, ?, ?)',
        migration.number,
        migration.breaking ? 1 : 0,
        migration.digest,
        nowMs,
      );
    }
  });
}

/**
 * Compares the applied migrations with the known ones. Returns how many of the known ones are
 * applied.
 *
 * @throws MpeError SCHEMA_MISMATCH as {@link migrate}, also where there is no schema at all.
 */
export function checkSchema(connection: Connection, migrations: readonly Migration[]): number {
  const table = connection.get(
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'MPE_Migrations'",
  );
  if (table === undefined) {
    throw new MpeError('SCHEMA_MISMATCH', 'the file holds no site database: run `mpe site init` first');
  }
  const rows = connection.all('SELECT Number, Breaking, Digest FROM MPE_Migrations ORDER BY Number');
  for (const row of rows) {
    const number = integer(row, 'Number');
    const known = migrations[number - 1];
    if (known === undefined && integer(row, 'Breaking') === 1) {
      throw new MpeError(
        'SCHEMA_MISMATCH',
        `the database has the breaking migration ${number}, this release knows ${migrations.length}: run a newer release`,
        { facts: { schema: number, known: migrations.length } },
      );
    }
    if (known !== undefined && known.digest !== text(row, 'Digest')) {
      throw new MpeError(
        'SCHEMA_MISMATCH',
        `migration ${number} of the database is not the one of this release: it was made by a build that never was released`,
        { facts: { schema: number, known: migrations.length } },
      );
    }
  }
  return Math.min(rows.length, migrations.length);
}
