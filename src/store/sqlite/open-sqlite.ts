import { existsSync } from 'node:fs';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import { Connection } from './connection.js';
import { refuseUnfinishedCopy } from './copy-record.js';
import { makeFile } from './make-file.js';
import { checkSchema, loadMigrations, migrate } from './migrate.js';
import { retryBusy } from './retry-busy.js';
import { SqliteStore } from './sqlite-store.js';

/** Several processes may start at once, and one may have a long migration. */
const START_WAIT_MS = 60_000;

/**
 * Opens the site database in a SQLite file. Writable: makes the folder and the file (readable by
 * the owner alone, as SQLite's side files then are) and applies migrations. Read-only: the file
 * must be there with a schema that this release can read.
 *
 * @throws MpeError SCHEMA_MISMATCH, STORE_NOT_DURABLE, STORE_TRANSIENT, STORE_FAILED,
 *   COPY_UNFINISHED.
 */
export async function openSqlite(
  path: string,
  options: { readonly readOnly: boolean; readonly clock: Clock },
): Promise<SqliteStore> {
  const connection = await openSqliteConnection(path, options);
  try {
    await retryBusy('reading the state of the database', () => refuseUnfinishedCopy(connection));
    return new SqliteStore(connection, path, options.clock);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** As {@link openSqlite}, for `mpe store copy`, which alone may open what is half copied. */
export async function openSqliteConnection(
  path: string,
  options: { readonly readOnly: boolean; readonly clock: Clock },
): Promise<Connection> {
  if (options.readOnly && !existsSync(path)) {
    throw new MpeError(
      'SCHEMA_MISMATCH',
      `there is no site database at ${path}: run \`mpe site init\` first`,
    );
  }
  if (!options.readOnly) makeFile(path);
  const migrations = loadMigrations();
  const connection = await retryBusy(
    'opening the site database',
    () => Connection.open(path, { readOnly: options.readOnly }),
    START_WAIT_MS,
  );
  try {
    await retryBusy(
      'migrating the site database',
      () =>
        options.readOnly
          ? checkSchema(connection, migrations)
          : migrate(connection, migrations, options.clock.now()),
      START_WAIT_MS,
    );
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}
