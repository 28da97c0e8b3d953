import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mssql from 'mssql';
import { afterAll, describe, it, onTestFinished, type TestContext } from 'vitest';
import { readSqlServerUrl, sqlServerName, type SqlServerTarget } from '../../src/config/sqlserver-url.js';
import { systemClock } from '../../src/ops/clock.js';
import type { Connection } from '../../src/store/mssql/connection.js';
import { driverConfig } from '../../src/store/mssql/driver-config.js';
import { loadMigrations, migrate } from '../../src/store/mssql/migrate.js';
import { openConnection } from '../../src/store/mssql/open-connection.js';
import { openOver } from '../../src/store/mssql/open-mssql.js';
import { dropDatabase } from '../../src/store/mssql/own-database.js';
import type { StoreLocation } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { emptySqlServer } from './empty-sqlserver.js';

const VARIABLE = 'MPE_TEST_SQLSERVER_URL';
const HOW = `set ${VARIABLE}=mssql://user:password@host:1433/master, with a login that may make databases, to run them`;

/** The server for tests, from MPE_TEST_SQLSERVER_URL; undefined where there is none. */
export function sqlServerUrl(): string | undefined {
  const url = process.env[VARIABLE];
  return url === undefined || url === '' ? undefined : url;
}

/** A `describe` that needs a SQL Server: without one, a single skipped test says how to run it. */
export function describeSqlServer(name: string, tests: () => void): void {
  describe(name, () => {
    if (sqlServerUrl() === undefined) it.skip(`skipped, no SQL Server: ${HOW}`);
    else tests();
  });
}

/** A database of its own on the test server. */
export interface SqlServerDatabase {
  readonly location: Extract<StoreLocation, { kind: 'mssql' }>;
  readonly target: SqlServerTarget;
  /** Opens it, as another process would; what is left open is closed with the test. */
  open(options?: { readOnly?: boolean }): Promise<SiteStore>;
  /** Runs SQL past the store; the first record set, as plain values: see {@link plainValue}. */
  sql(text: string): Promise<Record<string, unknown>[]>;
}

/** Connections of one store of a test. */
const POOL = 6;
/** Others make databases as well; the server's catalogue takes one at a time. */
const TRIES = 30;

/** Databases that this process made and did not drop yet. */
const made = new Set<string>();
/** Those of them that have the schema and no row, for the next test: making one takes seconds. */
const empty: SqlServerTarget[] = [];
/** A connection past the store to each of them, kept from test to test: the first queries of one are slow. */
const past = new Map<string, Promise<mssql.ConnectionPool>>();
/** Connections of stores that were closed, by database; kept for the same reason. */
const spare = new Map<string, Connection[]>();
afterAll(async () => {
  for (const name of [...made]) await drop(name);
}, 120_000);

/**
 * Gives an empty database, with the schema of this release unless told otherwise. When the test has
 * passed, it is emptied for the next one, or dropped where that does not work; when it has failed, it
 * is dropped; when the test file is done, all are dropped.
 */
export async function makeSqlServerDatabase(
  options: { readonly schema?: boolean } = {},
): Promise<SqlServerDatabase> {
  const schema = options.schema ?? true;
  const target = (schema ? empty.pop() : undefined) ?? (await createDatabase(schema));
  const closing: (() => Promise<void>)[] = [];
  const release = async ({ task }: TestContext): Promise<void> => {
    await Promise.all(closing.splice(0).map((close) => close()));
    // After a failure its work may still run, and would write into the next test.
    const isQuiet = task.result?.state !== 'fail';
    if (schema && isQuiet && (await emptied(target))) empty.push(target);
    else await drop(target.database);
  };
  try {
    onTestFinished(release, 120_000);
  } catch {
    // Called in a hook: afterAll above drops it.
  }
  const location = { kind: 'mssql', target, poolMax: POOL } as const;
  return {
    location,
    target,
    open: async (opening = {}) => {
      const connection = await lent(target);
      const store = await openOver(connection, sqlServerName(target), {
        ...{ readOnly: opening.readOnly ?? false, clock: systemClock() },
      });
      closing.push(() => store.close());
      return store;
    },
    sql: async (text) => plainRows(await (await pastStore(target)).request().batch(text)),
  };
}

async function createDatabase(schema: boolean): Promise<SqlServerTarget> {
  const target = { ...testServer(), database: `mpe_t_${randomBytes(6).toString('hex')}` };
  await patiently(async () => {
    const pool = await connect(testServer());
    try {
      await pool.request().batch(`CREATE DATABASE ${target.database}`);
    } finally {
      await pool.close();
    }
  });
  made.add(target.database);
  if (!schema) return target;
  const connection = await openConnection(target, 1);
  try {
    await migrate(connection, loadMigrations(), Date.now());
  } finally {
    await connection.close();
  }
  return target;
}

/** Takes every row out; false where the database cannot be used again. */
async function emptied(target: SqlServerTarget): Promise<boolean> {
  try {
    return await emptySqlServer(await pastStore(target));
  } catch {
    return false;
  }
}

/**
 * Connections for one store, which are kept from test to test when it closes them. The store opens as
 * always and finds out about the database anew.
 */
async function lent(target: SqlServerTarget): Promise<Connection> {
  const spares = spare.get(target.database) ?? [];
  spare.set(target.database, spares);
  const connection = spares.pop() ?? (await openConnection(target, POOL));
  let isBack = false;
  const giveBack = (): Promise<void> => {
    if (!isBack) spares.push(connection);
    isBack = true;
    return Promise.resolve();
  };
  return new Proxy(connection, {
    get: (inside, key) => {
      if (key === 'close') return giveBack;
      const value: unknown = Reflect.get(inside, key, inside);
      return typeof value === 'function' ? (value.bind(inside) as unknown) : value;
    },
  });
}

/** The connection past the store to a database. */
function pastStore(target: SqlServerTarget): Promise<mssql.ConnectionPool> {
  let pool = past.get(target.database);
  if (pool === undefined) {
    pool = connect(target);
    past.set(target.database, pool);
    pool.catch(() => past.delete(target.database));
  }
  return pool;
}

async function connect(target: SqlServerTarget): Promise<mssql.ConnectionPool> {
  const pool = new mssql.ConnectionPool(driverConfig(target, 1));
  pool.on('error', () => undefined);
  return pool.connect();
}

function plainRows(result: mssql.IResult<unknown>): Record<string, unknown>[] {
  const rows = (result.recordsets as mssql.IRecordSet<Record<string, unknown>>[])[0];
  if (rows === undefined) return [];
  const plain = ([column, value]: [string, unknown]): [string, unknown] => [
    column,
    plainValue(value, rows.columns[column]?.type),
  ];
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(plain)));
}

/**
 * A value as tests of both stores compare it: GUIDs in lower case, times as
 * `2026-10-25 00:30:00.000` in UTC, bits as 0 and 1, 64-bit integers as numbers.
 */
export function plainValue(value: unknown, type: unknown): unknown {
  if (value instanceof Date) return value.toISOString().replace('T', ' ').replace('Z', '');
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'string') return value;
  if (type === mssql.UniqueIdentifier) return value.toLowerCase();
  return type === mssql.BigInt ? Number(value) : value;
}

function testServer(): SqlServerTarget {
  const read = readSqlServerUrl(sqlServerUrl() ?? '');
  if ('problems' in read) throw new Error(`${VARIABLE}: ${read.problems.join('; ')}; ${HOW}`);
  return read.target;
}

async function drop(name: string): Promise<void> {
  await Promise.all((spare.get(name) ?? []).splice(0).map((connection) => connection.close()));
  const pool = past.get(name);
  past.delete(name);
  await pool?.then((open) => open.close()).catch(() => undefined);
  if (made.delete(name)) await patiently(() => dropDatabase(testServer(), name));
}

/** Making and dropping databases collides with others who do the same. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES) throw error;
    }
    await sleep(50 + Math.random() * 200);
  }
}
