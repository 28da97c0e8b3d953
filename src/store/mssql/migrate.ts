import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MpeError } from '../../ops/errors.js';
import { countApplied, readMigrations, type AppliedMigration, type Migration } from '../migrations.js';
import { splitBatches } from './batches.js';
import { flag, integer, text } from './columns.js';
import type { Connection } from './connection.js';
import { isTurnMissed } from './errors.js';
import { isRefusal, toMissingRight } from './missing-right.js';
import { flagOf, intOf, timeOf, wordOf } from './parameters.js';
import { run } from './run.js';
import { firstRow, firstSet, type Session } from './session.js';
import { takeTurn } from './turn.js';

const FOLDER = join(import.meta.dirname, 'migrations');

/** Another process may be at a long migration. */
const TURN_WAIT_MS = 5 * 60_000;
const PAUSE_MS = 200;

/** The migrations that this release knows. */
export function loadMigrations(folder = FOLDER): Migration[] {
  return readMigrations(folder);
}

/**
 * Brings the schema up to this release: all missing migrations in one transaction, so that a failure
 * leaves the schema as it was. An application lock that the transaction owns lets one process in;
 * the others wait and then find nothing to do. It goes with the transaction, also where the
 * connection is lost.
 *
 * @param connection with time-outs for statements that build indexes on full tables.
 * @returns the numbers of the migrations that this call applied.
 * @throws MpeError SCHEMA_MISMATCH where a newer breaking migration, or another text of a known
 *   one, was applied; STORE_FAILED that names the missing right; STORE_TRANSIENT.
 */
export async function migrate(
  connection: Connection,
  migrations: readonly Migration[],
  nowMs: number,
): Promise<number[]> {
  const doing = 'migrating the site database';
  const user = await run(doing, () => userName(connection));
  return run(doing, async () => {
    try {
      return await inTurn(() => connection.transaction((tx) => migrateInside(tx, migrations, nowMs)));
    } catch (error) {
      if (error instanceof Error && isRefusal(error)) throw toMissingRight(error, doing, user);
      throw error;
    }
  });
}

async function migrateInside(
  tx: Session,
  migrations: readonly Migration[],
  nowMs: number,
): Promise<number[]> {
  await takeTurn(tx, 'mpe/migrate');
  await tx.query(`
    IF OBJECT_ID('dbo.MPE_Migrations', 'U') IS NULL
      CREATE TABLE dbo.MPE_Migrations (
        Number int NOT NULL CONSTRAINT PK_MPE_Migrations PRIMARY KEY,
        Breaking bit NOT NULL,
        Digest varchar(64) NOT NULL,
        AppliedAt datetime2(3) NOT NULL
      );`);
  const pending = migrations.slice(countApplied(await readApplied(tx), migrations));
  for (const migration of pending) {
    for (const batch of splitBatches(migration.sql)) await tx.query(batch);
    await tx.query(
      `INSERT INTO dbo.MPE_Migrations (Number, Breaking, Digest, AppliedAt)
       VALUES (@number, @breaking, @digest, @appliedAt);`,
      {
        number: intOf(migration.number),
        breaking: flagOf(migration.breaking),
        digest: wordOf(migration.digest),
        appliedAt: timeOf(nowMs),
      },
    );
  }
  return pending.map((migration) => migration.number);
}

/** Begins a transaction again whose turn did not come: another process is at its migrations. */
async function inTurn<T>(transaction: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + TURN_WAIT_MS;
  for (;;) {
    try {
      return await transaction();
    } catch (error) {
      if (!isTurnMissed(error)) throw error;
      if (performance.now() > giveUpAt) {
        throw new MpeError(
          'STORE_TRANSIENT',
          `another process has been migrating the site database for ${TURN_WAIT_MS / 60_000} minutes; try again when it is done`,
          { cause: error },
        );
      }
    }
    await sleep(PAUSE_MS);
  }
}

async function userName(session: Session): Promise<string> {
  const row = firstRow(await session.query('SELECT USER_NAME() AS UserName;'));
  return row === undefined ? 'user' : text(row, 'UserName');
}

/** Rows of MPE_Migrations by number; null where the table is missing or not to be seen. */
async function readAppliedOrNull(session: Session): Promise<AppliedMigration[] | null> {
  const seen = firstRow(await session.query("SELECT OBJECT_ID('dbo.MPE_Migrations') AS Id;"));
  if (seen?.['Id'] === null || seen === undefined) return null;
  return readApplied(session);
}

async function readApplied(session: Session): Promise<AppliedMigration[]> {
  const sets = await session.query(
    'SELECT Number, Breaking, Digest FROM dbo.MPE_Migrations ORDER BY Number;',
  );
  return firstSet(sets).map((row) => ({
    number: integer(row, 'Number'),
    breaking: flag(row, 'Breaking'),
    digest: text(row, 'Digest'),
  }));
}

/**
 * How many of the known migrations are applied, 0 for an empty database. Reads alone.
 *
 * @throws MpeError SCHEMA_MISMATCH where a newer breaking migration, or another text of a known
 *   one, was applied.
 */
export async function appliedMigrations(session: Session, migrations: readonly Migration[]): Promise<number> {
  return countApplied((await readAppliedOrNull(session)) ?? [], migrations);
}

/**
 * Compares the applied migrations with the known ones; answers how many are applied. Reads alone: on
 * SQL Server a process never changes the schema by itself, `mpe migrate` does.
 *
 * @throws MpeError SCHEMA_MISMATCH where the schema is missing, older than this release, newer and
 *   breaking, or made from another text.
 */
export async function checkSchema(session: Session, migrations: readonly Migration[]): Promise<number> {
  const applied = await readAppliedOrNull(session);
  if (applied === null) {
    throw new MpeError(
      'SCHEMA_MISMATCH',
      'the database holds no site database, or the login has none of its roles (src/store/mssql/roles.sql) and ' +
        'cannot see it: run `mpe migrate` with a login that may create tables, or give the login its role',
    );
  }
  const count = countApplied(applied, migrations);
  if (count < migrations.length) {
    throw new MpeError(
      'SCHEMA_MISMATCH',
      `the schema of the database is at migration ${count}, this release needs ${migrations.length}: ` +
        'run `mpe migrate` with a login that may change the schema, then start again',
      { facts: { schema: count, known: migrations.length } },
    );
  }
  return count;
}
