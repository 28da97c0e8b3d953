import { existsSync, mkdirSync } from 'node:fs';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { loadMigrations } from '../../src/store/sqlite/migrate.js';
import {
  describeSqlServer,
  makeSqlServerDatabase,
  sqlServerUrl,
  type SqlServerDatabase,
} from '../support/sqlserver.js';
import { Home } from './mpe.js';

const KNOWN = loadMigrations().length;
/** Processes that migrate one database at the same moment. */
const AT_ONCE = 8;
const ALL = KNOWN === 1 ? 'migration 1' : `migrations 1 to ${KNOWN}`;

/** The environment of a process whose site database is `database`. */
function settingsOf(database: SqlServerDatabase): { readonly MPE_STORE_URL: string } {
  const url = new URL(sqlServerUrl() ?? '');
  url.pathname = `/${database.target.database}`;
  return { MPE_STORE_URL: url.href };
}

test('on SQLite: pending, applied, nothing to do; --check changes nothing', async () => {
  const home = new Home();
  const pending = await home.mpe(['migrate', '--check']);
  expect(pending).toMatchObject({ code: 1, stdout: `Pending: ${ALL} of ${KNOWN}. Run "mpe migrate".\n` });
  expect(existsSync(home.database)).toBe(false);

  // Two at once: one migrates, the other waits and finds nothing to do, or both say what they did.
  const both = await Promise.all([home.mpe(['migrate', '--json']), home.mpe(['migrate', '--json'])]);
  expect(both.map((ran) => ran.code)).toEqual([0, 0]);
  const reports = both.map((ran) => JSON.parse(ran.stdout) as { done: number[]; applied: number });
  expect(reports.flatMap((report) => report.done)).toHaveLength(KNOWN);
  expect(reports.map((report) => report.applied)).toEqual([KNOWN, KNOWN]);

  const done = await home.mpe(['migrate']);
  expect(done).toMatchObject({
    code: 0,
    stdout: `Nothing to do: the schema is at migration ${KNOWN} of ${KNOWN}.\n`,
  });
  const check = await home.mpe(['migrate', '--check', '--json']);
  expect(check.code).toBe(0);
  expect(JSON.parse(check.stdout)).toEqual({ applied: KNOWN, known: KNOWN, pending: [] });
  await home.init();
});

test('an empty file is pending, and stays empty under --check', async () => {
  const home = new Home();
  mkdirSync(home.home, { mode: 0o700 });
  new Database(home.database).close();
  expect((await home.mpe(['migrate', '--check'])).code).toBe(1);
  const db = new Database(home.database);
  expect(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()).toEqual({ n: 0 });
  db.close();
});

test('a breaking migration of a newer release stops it, and says what to do', async () => {
  const home = new Home();
  await home.mpe(['migrate']);
  const db = new Database(home.database);
  db.prepare('INSERT INTO MPE_Migrations VALUES (?, 1, ?, 0)').run(KNOWN + 1, 'x');
  db.close();
  for (const args of [['migrate'], ['migrate', '--check']]) {
    const ran = await home.mpe(args);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('SCHEMA_MISMATCH');
    expect(ran.stderr).toContain('run a newer release');
  }
});

test('the roles can be printed; SQLite has none', async () => {
  const home = new Home();
  const printed = await home.mpe(['migrate', '--print-roles']);
  expect(printed.code).toBe(0);
  expect(printed.stdout).toContain('GRANT SELECT ON dbo.MPE_Outcomes TO mpe_gateway;');
  const refused = await home.mpe(['migrate', '--roles']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('--roles is for SQL Server');
  expect((await home.mpe(['migrate', '--check', '--roles'])).code).toBe(2);
  expect(existsSync(home.database)).toBe(false);
});

describeSqlServer('on SQL Server', () => {
  test('many at once migrate it once; --check says so; site init finds it ready', async () => {
    const database = await makeSqlServerDatabase({ schema: false });
    const home = new Home();
    const settings = settingsOf(database);
    expect(await home.mpe(['migrate', '--check'], settings)).toMatchObject({
      code: 1,
      stdout: `Pending: ${ALL} of ${KNOWN}. Run "mpe migrate".\n`,
    });
    // A process that is no migration refuses the empty database.
    const early = await home.mpe(['site', 'show'], settings);
    expect(early.code).toBe(1);
    expect(early.stderr).toMatch(/SCHEMA_MISMATCH: .*mpe migrate/);

    const ran = await Promise.all(
      Array.from({ length: AT_ONCE }, () => home.mpe(['migrate', '--json'], settings)),
    );
    expect(ran.map(({ code, stderr }) => [code, stderr])).toEqual(
      Array.from({ length: AT_ONCE }, () => [0, '']),
    );
    const done = ran.flatMap(({ stdout }) => (JSON.parse(stdout) as { done: number[] }).done);
    expect(done).toEqual(loadMigrations().map(({ number }) => number));
    expect((await home.mpe(['migrate', '--check'], settings)).code).toBe(0);
    const roles = await home.mpe(['migrate', '--roles'], settings);
    expect(roles.stderr).toBe('');
    expect(roles.stdout).toContain('mpe_worker');
    expect((await home.mpe(['migrate', '--roles'], settings)).code).toBe(0);
  }, 300_000);

  test('site init migrates an empty database itself where the login may', async () => {
    const database = await makeSqlServerDatabase({ schema: false });
    const home = new Home();
    const ran = await home.mpe(['site', 'init', '--json'], settingsOf(database));
    expect(ran).toMatchObject({ code: 0 });
    expect(await database.sql('SELECT COUNT(*) AS n FROM dbo.MPE_Site')).toEqual([{ n: 1 }]);
  }, 120_000);
});
