import sql, { type config, type Connection as DriverConnection } from 'mssql';

/** What asks the pool for a connection: a request or a transaction. */
export type Requester = sql.Request | sql.Transaction;

type Acquired = (error: Error | null | undefined, connection?: DriverConnection, settings?: config) => void;

/** Methods of the driver's pool that its requests and transactions call; its types leave them out. */
interface DriverPool {
  acquire(requester: Requester, callback: Acquired): unknown;
  release(connection: DriverConnection): unknown;
}

/** Parts of the driver's connection that its types leave out. */
interface DriverConnectionInside {
  readonly closed: boolean;
  readonly inTransaction: boolean;
}

const driverPool = sql.ConnectionPool.prototype as unknown as DriverPool;
const inside = (connection: DriverConnection): DriverConnectionInside => connection;

/**
 * The driver's pool with three promises more:
 *  * it knows which connection a request or transaction holds, so that a watchdog can destroy it;
 *  * it knows every connection, also those that are still logging in;
 *  * a connection with an open transaction is never lent again, it is closed.
 */
export class Pool extends sql.ConnectionPool {
  readonly #held = new WeakMap<Requester, DriverConnection>();
  readonly #acquired = new WeakMap<Requester, () => void>();
  readonly #all = new Set<DriverConnection>();

  constructor(settings: config) {
    super({
      ...settings,
      beforeConnect: (connection) => {
        this.#all.add(connection);
        connection.once('end', () => this.#all.delete(connection));
        numberLoginError(connection);
        settings.beforeConnect?.(connection);
      },
    });
  }

  /** Called by the driver: lends a connection. */
  acquire(requester: Requester, callback: Acquired): this {
    driverPool.acquire.call(this, requester, (error, connection, settings) => {
      if (connection !== undefined) {
        this.#held.set(requester, connection);
        this.#acquired.get(requester)?.();
        this.#acquired.delete(requester);
      }
      callback(error instanceof Error ? acquireError(error) : error, connection, settings);
    });
    return this;
  }

  /** Called by the driver: takes a connection back. Safe to call twice. */
  release(connection: DriverConnection): this {
    if (!inside(connection).closed && inside(connection).inTransaction) connection.close();
    driverPool.release.call(this, connection);
    return this;
  }

  /** Calls back once the requester has its connection; not at all where it never gets one. */
  whenAcquired(requester: Requester, callback: () => void): void {
    if (this.#held.has(requester)) callback();
    else this.#acquired.set(requester, callback);
  }

  /**
   * Destroys the connection that a requester holds: the socket is closed at once, what waits on it
   * fails, and the pool makes a new connection when it needs one.
   */
  destroyConnectionOf(requester: Requester): void {
    const connection = this.#held.get(requester);
    if (connection === undefined) return;
    if (!inside(connection).closed) connection.close();
    // The driver gives it back when the request has failed; where it has lost the request, nobody would.
    setImmediate(() => this.release(connection));
  }

  /** Destroys every connection, in use or not. */
  destroyAll(): void {
    for (const connection of this.#all) connection.close();
  }
}

/** Where no connection became free in time, the pool's own error has neither class nor code. */
function acquireError(error: Error): Error {
  return error instanceof sql.MSSQLError ? error : new sql.ConnectionError(error.message, 'ETIMEOUT');
}

/**
 * Gives the error of a refused login its number: the driver keeps its text alone. Its own listener
 * is called first and wraps this same error; the wrapper is read later.
 */
function numberLoginError(connection: DriverConnection): void {
  let number: number | undefined;
  const keep = (token: { readonly number: number }): void => {
    number ??= token.number;
  };
  connection.on('errorMessage', keep);
  connection.once('connect', (error) => {
    connection.removeListener('errorMessage', keep);
    if (error !== undefined && number !== undefined) Object.assign(error, { number });
  });
}
