import { Connection } from './connection.js';
import { makeFile } from './make-file.js';
import { checkSchema, hasSchema, loadMigrations, migrate } from './migrate.js';
import { retryBusy } from './retry-busy.js';

/** Another process may be at a long migration. */
const WAIT_MS = 60_000;

/**
 * How many of the known migrations a file has; a file that is not there, or empty, has none. Makes
 * nothing.
 *
 * @param path null where there is no file.
 * @param folder of the migrations, the release's own where absent.
 * @throws MpeError SCHEMA_MISMATCH as `checkSchema`
 */
export async function readSqliteSchema(
  path: string | null,
  folder?: string,
): Promise<{ readonly applied: number; readonly known: number }> {
  const migrations = loadMigrations(folder);
  const known = migrations.length;
  if (path === null) return { applied: 0, known };
  return withConnection(path, true, 'reading the schema', (connection) => ({
    applied: hasSchema(connection) ? checkSchema(connection, migrations) : 0,
    known,
  }));
}

/**
 * Applies the missing migrations to a file, which is made where it is not there.
 *
 * @returns the numbers of the migrations that this call applied.
 * @throws MpeError SCHEMA_MISMATCH as `migrate`
 */
export async function migrateSqlite(path: string, nowMs: number, folder?: string): Promise<number[]> {
  makeFile(path);
  return withConnection(path, false, 'migrating the site database', (connection) =>
    migrate(connection, loadMigrations(folder), nowMs),
  );
}

async function withConnection<T>(
  path: string,
  readOnly: boolean,
  doing: string,
  work: (connection: Connection) => T,
): Promise<T> {
  const connection = await retryBusy(doing, () => Connection.open(path, { readOnly }), WAIT_MS);
  try {
    return await retryBusy(doing, () => work(connection), WAIT_MS);
  } finally {
    connection.close();
  }
}
