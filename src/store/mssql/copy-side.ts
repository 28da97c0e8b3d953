import type { SqlServerTarget } from '../../config/index.js';
import { sqlServerName } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import type { CopyPart } from '../copy/parts.js';
import type { CopyRecord } from '../copy/record.js';
import type { CopyTarget, SiteReader } from '../copy/side.js';
import type { NeutralRow } from '../copy/tables.js';
import type { Connection } from './connection.js';
import { finishCopyRecord, insertCopyRecord, readCopyRecord, refuseUnfinishedCopy } from './copy-record.js';
import { countPart, insertPart, readPart, tablesOf } from './copy-rows.js';
import { isUniqueViolation, toStoreError } from './errors.js';
import { hashLines } from './hash-lines.js';
import { appliedMigrations, checkSchema, loadMigrations, migrate } from './migrate.js';
import { openConnection } from './open-connection.js';
import { readSite } from './read-site.js';
import { run } from './run.js';

/** A stream, and a statement beside it. */
const CONNECTIONS = 2;

/**
 * Opens a SQL Server site database for a copy. Read-only it is the source, which must be whole;
 * else it is the target: its schema is made where it is missing, which needs a login that may.
 *
 * @throws MpeError SCHEMA_MISMATCH, COPY_UNFINISHED for such a source, STORE_TRANSIENT, STORE_FAILED.
 */
export async function openMssqlSide(
  target: SqlServerTarget,
  options: { readonly readOnly: boolean; readonly clock: Clock },
): Promise<CopyTarget> {
  const name = sqlServerName(target);
  const connection = await openConnection(target, CONNECTIONS);
  try {
    const migrations = loadMigrations();
    if (options.readOnly) {
      await run(`reading the schema of ${name}`, () => checkSchema(connection, migrations));
      await run('reading the state of the database', () => refuseUnfinishedCopy(connection));
    } else if ((await appliedMigrations(connection, migrations)) < migrations.length) {
      await migrate(connection, migrations, options.clock.now());
    }
    return new MssqlSide(connection);
  } catch (error) {
    await connection.close();
    throw toStoreError(error, `opening ${name}`);
  }
}

class MssqlSide implements CopyTarget {
  readonly store: SiteReader;
  readonly #c: Connection;

  constructor(connection: Connection) {
    this.#c = connection;
    this.store = {
      dialect: 'mssql',
      readSite: () => run('reading the site', () => readSite(connection)),
      hashLines: () => hashLines(connection),
    };
  }

  schema = () => run('reading the schema', () => tablesOf(this.#c));
  count = (part: CopyPart) => run('counting rows', () => countPart(this.#c, part));

  async *read(part: CopyPart, skip: number): AsyncGenerator<NeutralRow> {
    try {
      yield* readPart(this.#c, part, skip);
    } catch (error) {
      throw toStoreError(error, `reading ${part.table.name}`);
    }
  }

  readRecord = () => run('reading the state of the copy', () => readCopyRecord(this.#c));
  begin = (record: CopyRecord) => run('beginning the copy', () => insertCopyRecord(this.#c, record));
  insert = (part: CopyPart, rows: readonly NeutralRow[], place: number) =>
    run('copying rows', async () => {
      try {
        await this.#c.transaction((tx) => insertPart(tx, part, rows, place));
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        await this.#c.transaction((tx) => insertPart(tx, part, rows, place, true));
      }
    });
  finish = (atMs: number) => run('finishing the copy', () => finishCopyRecord(this.#c, atMs));
  close = () => this.#c.close();
}
