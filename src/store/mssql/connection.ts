import { setTimeout as sleep } from 'node:timers/promises';
import sql from 'mssql';
import type { SqlServerTarget } from '../../config/index.js';
import { CANCEL_TIMEOUT_MS, driverConfig } from './driver-config.js';
import { Pool, type Requester } from './pool.js';
import type { Session, SqlParameters, SqlRow } from './session.js';
import { streamRows } from './stream-rows.js';
import { inTransaction } from './transaction.js';
import { watch } from './watchdog.js';

/** Beyond the driver's own time-out of a request and its cancel, before the connection is destroyed. */
const GRACE_MS = 1_000;
/** How long closing waits for work that still runs. */
const CLOSE_WAIT_MS = 10_000;

/** How a {@link Connection} is opened. */
export interface ConnectionOptions {
  /** Connections at most. */
  readonly poolMax: number;
}

/**
 * The connections to a SQL Server database. Every call has a deadline that holds even where the
 * network goes silent (watchdog.ts). Errors are the driver's; run.ts makes them ours.
 *
 * Every connection: SET XACT_ABORT ON, READ COMMITTED, times in UTC.
 */
export class Connection implements Session {
  readonly #pool: Pool;
  readonly #deadlineMs: number;
  /** What an operator should know about the way to the server. */
  readonly warnings: readonly string[];
  #closing: Promise<void> | null = null;

  private constructor(pool: Pool, target: SqlServerTarget) {
    this.#pool = pool;
    this.#deadlineMs = target.requestTimeoutMs + CANCEL_TIMEOUT_MS + GRACE_MS;
    this.warnings = transportWarnings(target);
  }

  /** Connects once, so that a wrong address, certificate or login shows here. */
  static async open(target: SqlServerTarget, options: ConnectionOptions): Promise<Connection> {
    const pool = new Pool(driverConfig(target, options.poolMax));
    // An error of an idle connection: the pool replaces the connection, whoever needs one hears of it.
    pool.on('error', () => undefined);
    await openWithin(pool, target.connectTimeoutMs + GRACE_MS);
    return new Connection(pool, target);
  }

  /** Runs a batch on any free connection. */
  query(text: string, parameters: SqlParameters = {}): Promise<readonly SqlRow[][]> {
    const request = new sql.Request(this.#pool);
    return this.#send(request, request, text, parameters);
  }

  /**
   * Runs `work` in a transaction. Its error rolls all back and comes through unchanged. An error of
   * the commit leaves open what became of the transaction and is transient: the caller looks again.
   *
   * The statements of one transaction follow each other; never start one before the last has ended.
   *
   * @param deadlineMs of each call to the server, where less than any time-out of the driver is wanted:
   *   past it the connection is destroyed
   */
  transaction<T>(work: (tx: Session) => Promise<T>, deadlineMs = this.#deadlineMs): Promise<T> {
    const transaction = new sql.Transaction(this.#pool);
    const session: Session = {
      query: (text, parameters = {}) =>
        this.#send(transaction, new sql.Request(transaction), text, parameters, deadlineMs),
    };
    return inTransaction(this.#pool, transaction, deadlineMs, () => work(session));
  }

  /**
   * Reads rows one by one; the server waits while the reader is busy. A reader that leaves early
   * costs the connection, which is closed: the quickest cancel there is.
   */
  stream(text: string, parameters: SqlParameters = {}): AsyncIterable<SqlRow> {
    return streamRows(this.#pool, text, parameters, this.#deadlineMs);
  }

  /** Waits for running work, 10 seconds at most, and closes all. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= closePool(this.#pool);
    return this.#closing;
  }

  async #send(
    requester: Requester,
    request: sql.Request,
    text: string,
    parameters: SqlParameters,
    deadlineMs = this.#deadlineMs,
  ): Promise<readonly SqlRow[][]> {
    const names = Object.keys(parameters);
    for (const [name, { type, value }] of Object.entries(parameters)) request.input(name, type, value);
    const result = await watch(this.#pool, requester, 'query', deadlineMs, () =>
      names.length === 0 ? request.batch<SqlRow>(text) : request.query<SqlRow>(text),
    );
    return result.recordsets;
  }
}

function transportWarnings(target: SqlServerTarget): string[] {
  if (!target.encrypt) {
    return [
      'encrypt=false: the password and all rows travel in clear; for a test server on the same host alone',
    ];
  }
  return target.trustServerCertificate
    ? ['trustServerCertificate=true: whoever is on the way to the server can read and change everything']
    : [];
}

/** The first connection; where it hangs past every time-out of the driver, it is destroyed. */
async function openWithin(pool: Pool, deadlineMs: number): Promise<void> {
  const timer = setTimeout(() => pool.destroyAll(), deadlineMs);
  try {
    await pool.connect();
  } finally {
    clearTimeout(timer);
  }
}

async function closePool(pool: Pool): Promise<void> {
  const abort = new AbortController();
  const late = sleep(CLOSE_WAIT_MS, undefined, { signal: abort.signal, ref: false }).catch(() => undefined);
  await Promise.race([pool.close(), late]);
  abort.abort();
  pool.destroyAll();
}
