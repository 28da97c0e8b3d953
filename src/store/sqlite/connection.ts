import Database from 'better-sqlite3';
import { MpeError } from '../../ops/errors.js';

/** How long SQLite itself waits for a lock, blocking the event loop; retry-busy.ts waits beyond. */
export const BUSY_TIMEOUT_MS = 100;

/** A value as it comes out of SQLite: every integer is a bigint, so that 64 bits stay exact. */
export type SqlValue = bigint | number | string | Buffer | null;
/** A row by column name. */
export type SqlRow = Readonly<Record<string, SqlValue>>;
/** A value as it goes in. Booleans and undefined are refused by the driver on purpose. */
export type SqlParameter = bigint | number | string | Uint8Array | null;

type Statement = Database.Statement<unknown[], SqlRow>;

/**
 * One connection with its settings and its prepared statements. Every setting is made on every
 * connection: SQLite keeps only journal_mode in the file, and the second connection to a WAL file
 * starts with synchronous=NORMAL, which would lose acknowledged commits at a power cut.
 */
export class Connection {
  readonly db: Database.Database;
  readonly #statements = new Map<string, { statement: Statement; numbered: boolean }>();

  private constructor(db: Database.Database) {
    this.db = db;
  }

  /**
   * Opens a file with the settings of the store.
   *
   * @throws MpeError STORE_NOT_DURABLE where SQLite does not take them. Errors of the driver
   *   (busy while another process switches the journal) come through as they are.
   */
  static open(path: string, options: { readonly readOnly: boolean }): Connection {
    const db = new Database(path, { timeout: BUSY_TIMEOUT_MS, fileMustExist: options.readOnly });
    try {
      db.defaultSafeIntegers(true);
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
      db.pragma('foreign_keys = ON');
      // Without it INSERT OR REPLACE would delete rows of append-only tables past their triggers.
      db.pragma('recursive_triggers = ON');
      // What is deleted is overwritten: a retired sealing key must not lie in a free page until VACUUM.
      // Measured with 20,000 rows of 600 bytes inserted, updated and deleted: no cost above the noise.
      db.pragma('secure_delete = ON');
      if (options.readOnly) db.pragma('query_only = ON');
      const connection = new Connection(db);
      const { durable, detail } = connection.durability();
      if (!durable) {
        throw new MpeError(
          'STORE_NOT_DURABLE',
          `the database at ${path} does not take WAL and FULL: ${detail}`,
        );
      }
      return connection;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** Reads the durability settings back from SQLite. */
  durability(): { durable: boolean; detail: string } {
    const journal = String(this.db.pragma('journal_mode', { simple: true }));
    const level = Number(this.db.pragma('synchronous', { simple: true }));
    const word = ['OFF', 'NORMAL', 'FULL', 'EXTRA'][level] ?? String(level);
    return {
      durable: journal === 'wal' && level >= 2,
      detail: `journal_mode=${journal} synchronous=${word}`,
    };
  }

  /**
   * The prepared statement of a text, prepared once a connection, and the values in the shape that
   * the driver wants: `?` takes them in order, `?1` by name.
   */
  #bind(sql: string, values: SqlParameter[]): [Statement, SqlParameter[] | [Record<string, SqlParameter>]] {
    let entry = this.#statements.get(sql);
    if (entry === undefined) {
      entry = { statement: this.db.prepare(sql), numbered: /\?\d/.test(sql) };
      this.#statements.set(sql, entry);
    }
    if (!entry.numbered) return [entry.statement, values];
    return [entry.statement, [Object.fromEntries(values.map((value, i) => [String(i + 1), value]))]];
  }

  /** The first row, or undefined. */
  get(sql: string, ...parameters: SqlParameter[]): SqlRow | undefined {
    const [statement, values] = this.#bind(sql, parameters);
    return statement.get(...values);
  }

  /** All rows. */
  all(sql: string, ...parameters: SqlParameter[]): SqlRow[] {
    const [statement, values] = this.#bind(sql, parameters);
    return statement.all(...values);
  }

  /** Runs a change; returns the number of rows it changed. */
  run(sql: string, ...parameters: SqlParameter[]): number {
    const [statement, values] = this.#bind(sql, parameters);
    return statement.run(...values).changes;
  }

  /** Runs `work` in one read transaction: all its statements see one state of the database. */
  snapshot<T>(work: () => T): T {
    return this.#transaction('BEGIN', work);
  }

  /** Runs `work` in one write transaction, locked from its start; an error rolls all back. */
  immediate<T>(work: () => T): T {
    return this.#transaction('BEGIN IMMEDIATE', work);
  }

  #transaction<T>(begin: string, work: () => T): T {
    this.db.exec(begin);
    try {
      const result = work();
      this.db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk or an I/O error has rolled back by itself.
      if (this.db.inTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  /**
   * Runs `work` in a savepoint of the current transaction; an error undoes `work` alone and comes
   * through. Where SQLite has given up the whole transaction, the error comes through as well and
   * `db.inTransaction` says so.
   */
  savepoint<T>(work: () => T): T {
    this.db.exec('SAVEPOINT message');
    try {
      const result = work();
      this.db.exec('RELEASE message');
      return result;
    } catch (error) {
      if (this.db.inTransaction) this.db.exec('ROLLBACK TO message; RELEASE message');
      throw error;
    }
  }

  /**
   * Brings everything into the file and cuts the write-ahead log, which keeps the pages of before. Best
   * effort: where another process reads at this moment, its next checkpoint does it, and the log is
   * overwritten from its start.
   */
  checkpoint(): void {
    this.db.pragma('wal_checkpoint(TRUNCATE)');
  }

  /** Closes; safe to call twice. */
  close(): void {
    this.db.close();
  }
}
