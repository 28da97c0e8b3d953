import type { Clock } from '../../ops/clock.js';
import type { CopyPart } from '../copy/parts.js';
import type { CopyRecord } from '../copy/record.js';
import type { CopyTarget } from '../copy/side.js';
import type { NeutralRow } from '../copy/tables.js';
import type { Connection } from './connection.js';
import { finishCopyRecord, insertCopyRecord, readCopyRecord, refuseUnfinishedCopy } from './copy-record.js';
import { countPart, insertPart, readPart, tablesOf } from './copy-rows.js';
import { toStoreError } from './errors.js';
import { openSqliteConnection } from './open-sqlite.js';
import { retryBusy } from './retry-busy.js';
import { SqliteStore } from './sqlite-store.js';

/**
 * Opens a SQLite site database for a copy. Read-only it is the source, which must be whole; else
 * it is the target, which is made and migrated where needed and may be half copied.
 *
 * @throws MpeError as `openSqlite`; COPY_UNFINISHED for such a source.
 */
export async function openSqliteSide(
  path: string,
  options: { readonly readOnly: boolean; readonly clock: Clock },
): Promise<SqliteSide> {
  const connection = await openSqliteConnection(path, options);
  try {
    if (options.readOnly) refuseUnfinishedCopy(connection);
    return new SqliteSide(connection, new SqliteStore(connection, path, options.clock));
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Rows after which others get their turn at the event loop. */
const TURN_ROWS = 1000;

class SqliteSide implements CopyTarget {
  readonly store: SqliteStore;
  readonly #c: Connection;

  constructor(connection: Connection, store: SqliteStore) {
    this.#c = connection;
    this.store = store;
  }

  schema = () => retryBusy('reading the schema', () => tablesOf(this.#c));
  count = (part: CopyPart) => retryBusy('counting rows', () => countPart(this.#c, part));

  async *read(part: CopyPart, skip: number): AsyncGenerator<NeutralRow> {
    try {
      let rows = 0;
      for (const row of readPart(this.#c, part, skip)) {
        yield row;
        rows += 1;
        if (rows % TURN_ROWS === 0) await new Promise((resume) => setImmediate(resume));
      }
    } catch (error) {
      throw toStoreError(error, `reading ${part.table.name}`);
    }
  }

  readRecord = () => retryBusy('reading the state of the copy', () => readCopyRecord(this.#c));
  begin = (record: CopyRecord) => retryBusy('beginning the copy', () => insertCopyRecord(this.#c, record));
  insert = (part: CopyPart, rows: readonly NeutralRow[], place: number) =>
    retryBusy('copying rows', () => this.#c.immediate(() => insertPart(this.#c, part, rows, place)));
  finish = (atMs: number) => retryBusy('finishing the copy', () => finishCopyRecord(this.#c, atMs));
  close = () => this.store.close();
}
