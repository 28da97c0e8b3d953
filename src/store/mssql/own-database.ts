import { setTimeout as sleep } from 'node:timers/promises';
import type { SqlServerTarget } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import type { Connection } from './connection.js';
import { sqlErrorClass } from './errors.js';
import { loadMigrations, migrate } from './migrate.js';
import { openConnection } from './open-connection.js';
import { run } from './run.js';

const ATTEMPTS = 30;
const PAUSE_MS = 300;

/** Letters, digits and `_` alone: names are written into statements. */
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,100}$/;

/**
 * Makes an empty database beside the one that `server` names; the login needs the right to.
 *
 * @returns the target of the new database
 */
export async function createDatabase(server: SqlServerTarget, name: string): Promise<SqlServerTarget> {
  await onServer(server, name, `making the database ${name}`, (connection) =>
    patiently(() => connection.query(`CREATE DATABASE ${name};`)),
  );
  return { ...server, database: name };
}

/** As {@link createDatabase}, with the schema of this release; there is no site in it yet. */
export async function createSiteDatabase(
  server: SqlServerTarget,
  name: string,
  nowMs: number,
): Promise<SqlServerTarget> {
  const target = await createDatabase(server, name);
  try {
    const connection = await openConnection(target, 1);
    try {
      await migrate(connection, loadMigrations(), nowMs);
    } finally {
      await connection.close();
    }
    return target;
  } catch (error) {
    await dropDatabase(server, name);
    throw error;
  }
}

/** Drops a database that {@link createDatabase} made, once its last connection is gone. */
export async function dropDatabase(server: SqlServerTarget, name: string): Promise<void> {
  await onServer(server, name, `dropping the database ${name}`, (connection) =>
    patiently(() => connection.query(`IF DB_ID('${name}') IS NOT NULL DROP DATABASE ${name};`)),
  );
}

/** Others make and drop databases at the same time; connections of a killed process stay for a moment. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === ATTEMPTS || sqlErrorClass(error) === 'permission') throw error;
      await sleep(PAUSE_MS * (0.5 + Math.random()));
    }
  }
}

async function onServer(
  server: SqlServerTarget,
  name: string,
  doing: string,
  work: (connection: Connection) => Promise<void>,
): Promise<void> {
  if (!NAME.test(name)) throw new MpeError('USAGE', `"${name}" is no name for a database`);
  await run(doing, async () => {
    const connection = await openConnection(server, 1);
    try {
      await work(connection);
    } finally {
      await connection.close();
    }
  });
}
