import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readSqlServerUrl, type SqlServerTarget } from '../../src/config/index.js';
import { Connection } from '../../src/store/mssql/connection.js';
import { isTransient, sqlErrorClass } from '../../src/store/mssql/errors.js';
import { openConnection } from '../../src/store/mssql/open-connection.js';
import { intOf } from '../../src/store/mssql/parameters.js';
import { firstRow } from '../../src/store/mssql/session.js';
import { FaultProxy, TDS, type Fault } from '../support/fault-proxy.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';

const REQUEST_MS = 500;
/** Request, cancel of the driver and our grace: when a call must have ended. */
const DEADLINE_MS = REQUEST_MS + 5_000 + 1_000;
/** Machines that run tests are busy. */
const SLACK = 3;
/** Where `connectTimeout` is 300 ms: far above what it takes, and below the default of 15 seconds. */
const OPENED_BY_MS = 10_000;

function targetOf(url: string): SqlServerTarget {
  const read = readSqlServerUrl(url);
  if ('problems' in read) throw new Error(read.problems.join('; '));
  return read.target;
}

/** Runs work that must fail; the error, and how long it took. */
async function failure(work: () => Promise<unknown>): Promise<{ error: Error; ms: number }> {
  const start = performance.now();
  try {
    await work();
  } catch (error) {
    return { error: error as Error, ms: performance.now() - start };
  }
  throw new Error('the work did not fail');
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}, 60_000);

describe('a server that does not speak', () => {
  /** Accepts connections and does with them what a test wants. */
  async function server(onConnection: (socket: Socket) => void): Promise<SqlServerTarget> {
    const sockets = new Set<Socket>();
    const listener = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      onConnection(socket);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    cleanups.push(() => {
      sockets.forEach((socket) => socket.destroy());
      listener.close();
      return Promise.resolve();
    });
    const { port } = listener.address() as AddressInfo;
    return targetOf(`mssql://u:s3cret@127.0.0.1:${port}/site?connectTimeout=300`);
  }

  test('accepts and never answers: opening ends by its time-out', async () => {
    const target = await server(() => undefined);
    const { error, ms } = await failure(() => openConnection(target, 2));
    expect(error).toMatchObject({ code: 'STORE_TRANSIENT' });
    expect(error.message).toContain(`mssql://127.0.0.1:${target.port}/site`);
    expect(error.message).not.toContain('s3cret');
    expect(ms).toBeLessThan(OPENED_BY_MS);
  }, 30_000);

  test.each([
    ['closes at once', (socket: Socket) => socket.destroy()],
    ['answers nonsense', (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ])(
    '%s: opening fails as transient',
    async (_, behave) => {
      const target = await server(behave);
      const { error, ms } = await failure(() => Connection.open(target, { poolMax: 1 }));
      expect(isTransient(error)).toBe(true);
      expect(ms).toBeLessThan(OPENED_BY_MS);
    },
    30_000,
  );

  test('nobody listens: opening fails as transient', async () => {
    const target = targetOf('mssql://u:p@127.0.0.1:1/site?connectTimeout=300');
    expect(isTransient((await failure(() => Connection.open(target, { poolMax: 1 }))).error)).toBe(true);
  });
});

describeSqlServer('a connection that breaks', () => {
  const COUNT = 'SELECT COUNT(*) AS n FROM';
  let database: SqlServerDatabase;
  let table = '';

  beforeAll(async () => {
    database = await makeSqlServerDatabase({ schema: false });
  }, 120_000);

  async function open(
    requestTimeoutMs = REQUEST_MS,
  ): Promise<{ proxy: FaultProxy; through: Connection; direct: Connection }> {
    const target = { ...database.target, requestTimeoutMs, connectTimeoutMs: 10_000 };
    const direct = await Connection.open({ ...target, requestTimeoutMs: 30_000 }, { poolMax: 2 });
    table = `mpe_t_w${Math.random().toString(36).slice(2, 10)}`;
    await direct.query(`CREATE TABLE ${table} (Id int NOT NULL CONSTRAINT PK_${table} PRIMARY KEY)`);
    const proxy = await FaultProxy.open(target);
    const through = await Connection.open({ ...target, host: '127.0.0.1', port: proxy.port }, { poolMax: 2 });
    cleanups.push(
      () => direct.close(),
      () => direct.query(`DROP TABLE ${table}`),
      () => proxy.close(),
      () => through.close(),
    );
    // So that a connection stands, the fault does not meet a login, and the server knows the statements.
    await patiently(async () => {
      await direct.query(`DELETE FROM ${table}`);
      await insert(through, 0);
    });
    await direct.query(`DELETE FROM ${table}`);
    return { proxy, through, direct };
  }

  /** A busy server may take longer than the short time-out over the first statements of a connection. */
  async function patiently(work: () => Promise<void>): Promise<void> {
    for (let left = 20; ; left -= 1) {
      try {
        await work();
        return;
      } catch (error) {
        if (!isTransient(error) || left === 0) throw error;
      }
    }
  }

  const insert = (connection: Connection, id: number): Promise<void> =>
    connection.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} (Id) VALUES (@id)`, { id: intOf(id) });
    });

  async function rows(connection: Connection): Promise<number> {
    return Number(firstRow(await connection.query(`${COUNT} ${table}`))?.['n']);
  }

  /** Connections that were being made in the silence still fail; then the pool is as before. */
  const recovered = (connection: Connection): Promise<void> =>
    patiently(async () => expect(await connection.query('SELECT 1 AS one')).toEqual([[{ one: 1 }]]));

  const places: [string, Fault['direction'], Fault['at']][] = [
    ['BEGIN is not sent', 'toServer', { message: 1, type: TDS.transaction }],
    ['BEGIN is not answered', 'toServer', { message: 1, type: TDS.transaction, after: true }],
    ['a statement is not sent', 'toServer', { message: 1, type: TDS.rpc }],
    ['a statement is sent in part', 'toServer', { byte: 120 }],
    ['a statement is not answered', 'toServer', { message: 1, type: TDS.rpc, after: true }],
    ['COMMIT is not sent', 'toServer', { message: 2, type: TDS.transaction }],
    ['COMMIT is not answered', 'toServer', { message: 2, type: TDS.transaction, after: true }],
  ];

  describe.each(['silent', 'cut', 'reset'] as const)('%s', (kind) => {
    test.each(places)(
      '%s: fails as transient in time, and a next try works',
      async (_, direction, at) => {
        const { proxy, through, direct } = await open();
        proxy.break({ kind, direction, at });
        const { error, ms } = await failure(() => insert(through, 1));
        expect(sqlErrorClass(error)).toBe('transient');
        expect(ms).toBeLessThan(DEADLINE_MS * SLACK);
        proxy.heal();
        // COMMIT without an answer may be done; then the same row is refused, which tells the caller.
        await patiently(() => insert(through, 1)).catch((again: unknown) =>
          expect(sqlErrorClass(again)).toBe('unique'),
        );
        expect(await rows(direct)).toBe(1);
      },
      180_000,
    );
  });

  test('an answer that stops in its middle ends by the deadline of the watchdog', async () => {
    const { proxy, through } = await open(5_000);
    const large = "SELECT REPLICATE('x', 8000) AS a, REPLICATE('y', 8000) AS b";
    await patiently(async () => {
      await through.query(large);
    });
    // The first packet stops the driver's own timer; from here on only the watchdog ends the wait.
    proxy.break({ kind: 'silent', direction: 'toClient', at: { byte: 9_000 } });
    const { error, ms } = await failure(() => through.query(large));
    expect(error.message).toMatch(/did not answer a query within/);
    expect(isTransient(error)).toBe(true);
    expect(ms).toBeLessThan((5_000 + DEADLINE_MS) * SLACK);
    proxy.heal();
    await recovered(through);
  }, 90_000);

  test('silence on every connection: each call ends, the pool recovers, closing does not hang', async () => {
    const { proxy, through } = await open();
    proxy.silenceAll();
    const results = await Promise.all(
      Array.from({ length: 3 }, () => failure(() => through.query('SELECT 1 AS one'))),
    );
    for (const { error } of results) expect(isTransient(error)).toBe(true);
    proxy.heal();
    await recovered(through);
    proxy.silenceAll();
    const start = performance.now();
    await through.close();
    expect(performance.now() - start).toBeLessThan(10_000 * SLACK);
  }, 120_000);

  test('a stream that goes silent fails; one that is left early leaves the pool usable', async () => {
    const { proxy, through } = await open(5_000);
    const many =
      'SELECT a.object_id AS id FROM sys.all_objects a CROSS JOIN (SELECT TOP 20 object_id FROM sys.all_objects) b';
    await patiently(async () => {
      for await (const row of through.stream(many)) {
        expect(row['id']).toBeTypeOf('number');
        break;
      }
    });
    await recovered(through);
    proxy.break({ kind: 'silent', direction: 'toClient', at: { byte: 60_000 } });
    let seen = 0;
    const { error } = await failure(async () => {
      for await (const row of through.stream(many)) seen += Object.keys(row).length;
    });
    expect(seen).toBeGreaterThan(0);
    expect(isTransient(error)).toBe(true);
  }, 90_000);

  test('a slow line is only slow', async () => {
    const { proxy, through } = await open(5_000);
    proxy.break({ kind: 'delay', direction: 'toClient', at: { byte: 0 }, delayMs: 100 });
    await insert(through, 7);
    expect(await rows(through)).toBe(1);
  }, 60_000);
});
