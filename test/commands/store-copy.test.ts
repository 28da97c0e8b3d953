import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../src/store/open-store.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { loadMigrations, migrate } from '../../src/store/sqlite/migrate.js';
import { newMssql } from '../store/copy/databases.js';
import { fillEveryTable, fillMany } from '../store/copy/fill.js';
import { T0 } from '../store/world.js';
import { MAIN } from '../support/engine-process.js';
import { readApart } from '../support/read-apart.js';
import { describeSqlServer } from '../support/sqlserver.js';
import { tempFolder } from '../support/temp.js';
import { escrow, password, TestSite, volume } from '../workers/support.js';
import { Home, type Ran } from './mpe.js';

const MESSAGES = 12;
const KEYS_OF_THE_BIG_ONE = 20_000;

/** Of a site whose copy is stopped at given rows: some batches of each table. */
const KEYS = 6000;

/** What one transaction of a copy holds at most. */
const BATCH_ROWS = 1000;
/** Places that a copy does not pass, and the rows of clients, keys and proofs that lie before them. */
const STOPS = [
  { table: 'Clients', at: "NEW.MachineName = 'PC1'", there: 0 },
  { table: 'Clients', at: "NEW.MachineName = 'PC2500'", there: 2500 },
  { table: 'Keys', at: "NEW.SecretId = unhex(printf('%064x', 2500))", there: KEYS + 2500 },
  { table: 'KeyProofs', at: 'NEW.Sequence = 4500', there: 2 * KEYS + 4500 },
] as const;

/** For one copy to come to the place where it is killed, on a busy machine. */
const REACHED_WITHIN_MS = 120_000;

/** Lets no copy into `path` get beyond a row: whoever writes it never comes to an end with it. */
function stopCopyAt(path: string, table: string | null, at = ''): void {
  const db = new Database(path);
  // A trigger may have no recursion of its own, the view that it reads may.
  db.exec(`DROP TRIGGER IF EXISTS TestStop; DROP VIEW IF EXISTS TestForever;
    CREATE VIEW TestForever AS
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT i FROM n;`);
  db.exec(
    table === null
      ? 'DROP VIEW TestForever'
      : `CREATE TRIGGER TestStop BEFORE INSERT ON ${table} WHEN ${at}
           BEGIN SELECT count(*) FROM TestForever; END`,
  );
  db.close();
}

/** A site with real keys, made by real messages; the folder holds site.db and keys/. */
let folder: string;

beforeAll(async () => {
  const site = await TestSite.create({}, tempFolder('mpe-store-copy-'));
  folder = site.folder;
  const pipeline = await site.pipeline();
  for (let n = 0; n < MESSAGES; n += 1) {
    const client = await site.client();
    const body = escrow(volume([{ password: password(n) }]));
    const { job } = await client.message(body);
    await pipeline.processMessage(job, { alone: true });
  }
  const { secrets } = await site.store.counts();
  expect(secrets).toBe(MESSAGES);
  await site.store.close();
}, 120_000);

const sqlite = (path: string): string => `sqlite:${path}`;

const run = (args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<Ran> =>
  new Home().mpe(args, settings);

const copy = (from: string, to: string, ...more: readonly string[]): Promise<Ran> =>
  run(['store', 'copy', '--from', from, '--to', to, ...more], { NO_COLOR: '1' });

/**
 * Begins a copy and kills it once `reached` says so of what it has written to standard error. The caller sees to
 * it that the copy cannot be over by then.
 */
async function copyAndKill(from: string, to: string, reached: (text: string) => boolean): Promise<void> {
  const child = spawn(process.execPath, [MAIN, 'store', 'copy', '--from', from, '--to', to], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (text += part));
  const ended = once(child, 'close');
  // Whatever fails: where it is stopped it would work on for ever.
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const end = performance.now() + REACHED_WITHIN_MS;
  while (!reached(text)) {
    if (performance.now() > end)
      throw new Error(`the copy has not come so far within ${REACHED_WITHIN_MS} ms: ${text}`);
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the copy ended: ${text}`);
    await sleep(50);
  }
  child.kill('SIGKILL');
  await ended;
  expect(child.signalCode, text).toBe('SIGKILL');
}

/** Something is copied. */
const isCopying = (text: string): boolean => text.includes('copying: ');

/** The site hash and the state of all secrets of a database, by the commands an operator has. */
async function inspect(url: string): Promise<{ hash: string; verified: Ran }> {
  const settings = { MPE_STORE_URL: url, MPE_KEYS_DIR: join(folder, 'keys') };
  const [hash, verified] = [
    await run(['site', 'hash'], settings),
    await run(['secrets', 'verify'], settings),
  ];
  expect(hash.stderr + verified.stderr).toBe('');
  return { hash: hash.stdout.trim(), verified };
}

describe('mpe store copy', () => {
  test('moves a site: the same hash, every secret opens, and it says what to do next', async () => {
    const [from, to] = [sqlite(join(folder, 'site.db')), sqlite(join(tempFolder(), 'new.db'))];
    const before = readApart(join(folder, 'site.db'));
    const ran = await copy(from, to);
    expect(ran.code, ran.stderr).toBe(0);
    const [was, is] = [await inspect(from), await inspect(to)];
    expect(is.hash).toBe(was.hash);
    expect(is.verified.code).toBe(0);
    expect(is.verified.stdout).toBe(was.verified.stdout);
    expect(ran.stdout).toContain(`site hash ${was.hash}`);
    expect(ran.stdout).toContain(`set MPE_STORE_URL to the new database: ${to}`);
    expect(ran.stdout).toContain('Leave the key folder');
    // Plain lines where there is no terminal.
    expect(ran.stderr).toMatch(/^copying: \d+ of \d+ rows/m);
    expect(ran.stderr).not.toContain('\u001b');
    expect(readApart(join(folder, 'site.db')).equals(before)).toBe(true);

    const again = await copy(from, to);
    expect(again.stdout).toContain('nothing was done');
    expect(again.code).toBe(0);
  });

  test('killed again and again goes on where it stopped, and is refused by everything until it is done', async () => {
    const home = tempFolder();
    const [from, to] = [join(home, 'from.db'), join(home, 'to.db')];
    const connection = Connection.open(from, { readOnly: false });
    migrate(connection, loadMigrations(), T0);
    fillEveryTable(connection);
    fillMany(connection, KEYS);
    connection.close();
    const target = Connection.open(to, { readOnly: false });
    migrate(target, loadMigrations(), T0);
    target.close();
    const rowsThere = (): number => {
      const target = Connection.open(to, { readOnly: true });
      const row = target.get(
        'SELECT (SELECT count(*) FROM MPE_Clients) + (SELECT count(*) FROM MPE_Keys) + (SELECT count(*) FROM MPE_KeyProofs) AS N',
      );
      target.close();
      return Number(row!['N']);
    };

    const seen = [0];
    for (const { table, at, there } of STOPS) {
      stopCopyAt(to, `MPE_${table}`, at);
      await copyAndKill(
        sqlite(from),
        sqlite(to),
        (text) => isCopying(text) && rowsThere() >= there - BATCH_ROWS,
      );
      seen.push(rowsThere());
    }
    stopCopyAt(to, null);
    for (const command of [['status'], ['site', 'hash'], ['worker'], ['gateway']]) {
      const refused = await run(command, {
        ...{ MPE_STORE_URL: sqlite(to), MPE_KEYS_DIR: join(folder, 'keys'), MPE_LOG_LEVEL: 'fatal' },
        ...{ MPE_GATEWAY_LISTEN: '127.0.0.1:0', MPE_GATEWAY_OPS_LISTEN: 'off' },
      });
      expect(`${refused.stdout}${refused.stderr}`, command.join(' ')).toContain('has not finished');
      expect(refused.code, command.join(' ')).not.toBe(0);
    }
    // Further each time, and never done.
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen.slice(1)).size).toBe(STOPS.length);
    expect(seen.at(-1)).toBeLessThan(3 * KEYS);
    const ran = await copy(sqlite(from), sqlite(to));
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toContain('an earlier run had begun it');
    const [a, b] = [
      await openStore({ kind: 'sqlite', path: from }),
      await openStore({ kind: 'sqlite', path: to }),
    ];
    expect(await b.counts()).toEqual(await a.counts());
    await Promise.all([a.close(), b.close()]);
  }, 600_000);

  test('reads URLs from files, and tells what is wrong without repeating a URL', async () => {
    const home = tempFolder();
    const urlFile = join(home, 'url');
    writeFileSync(urlFile, `${sqlite(join(folder, 'site.db'))}\n`);
    const to = sqlite(join(home, 'new.db'));
    const ran = await run(['store', 'copy', '--from-url-file', urlFile, '--to', to]);
    expect(ran.code, ran.stderr).toBe(0);

    const secret = 'hunter2';
    for (const [args, says] of [
      [['--to', to], '--from is missing'],
      [['--from', `mssqll://sa:${secret}@h/d`, '--to', to], '--from must be'],
      [['--from', to, '--from-url-file', urlFile, '--to', to], '--from and --from-url-file are both set'],
      [
        ['--from-url-file', join(home, 'none'), '--to', to],
        '--from-url-file names a file that cannot be read',
      ],
      [['--from', to, '--to', to], '--from and --to are the same database'],
    ] as const) {
      const refused = await run(['store', 'copy', ...args]);
      expect(refused.stderr).toContain(says);
      expect(refused.stderr).not.toContain(secret);
      expect(refused.code).toBe(2);
    }
    const absent = await copy(sqlite(join(home, 'absent.db')), sqlite(join(home, 'other.db')));
    expect(absent.stderr).toContain('SCHEMA_MISMATCH');
    expect(absent.code).toBe(1);
  });
});

describeSqlServer('mpe store copy with SQL Server', () => {
  test('moves a site there and back: the same hash, every secret opens', async () => {
    const [from, back] = [sqlite(join(folder, 'site.db')), sqlite(join(tempFolder(), 'back.db'))];
    const { url } = await newMssql();
    const bare = new URL(url);
    const password = join(tempFolder(), 'password');
    writeFileSync(password, decodeURIComponent(bare.password));
    bare.password = '';
    const there = await copy(from, bare.href, '--to-password-file', password);
    expect(there.code, there.stderr).toBe(0);
    const returned = await copy(bare.href, back, '--from-password-file', password);
    expect(returned.code, returned.stderr).toBe(0);
    const [was, is, again] = [await inspect(from), await inspect(url), await inspect(back)];
    expect(is).toEqual(was);
    expect(again).toEqual(was);
    expect(was.verified.code).toBe(0);
    for (const { stdout, stderr } of [there, returned])
      expect(stdout + stderr).not.toContain(readFileSync(password, 'utf8'));
  }, 180_000);

  test('killed again and again goes on where it stopped', async () => {
    const path = join(tempFolder(), 'from.db');
    const connection = Connection.open(path, { readOnly: false });
    migrate(connection, loadMigrations(), T0);
    fillEveryTable(connection);
    fillMany(connection, KEYS_OF_THE_BIG_ONE);
    connection.close();
    const { url, location } = await newMssql();
    // At the first of some hundred batches, and of what was left of them.
    for (let kills = 0; kills < 2; kills += 1) {
      await copyAndKill(sqlite(path), url, isCopying);
      const refused = await run(['site', 'hash'], { MPE_STORE_URL: url });
      expect(refused.stderr).toContain('COPY_UNFINISHED');
      expect(refused.code).toBe(1);
    }
    const ran = await copy(sqlite(path), url);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toContain('an earlier run had begun it');
    const [a, b] = [await openStore({ kind: 'sqlite', path }), await openStore(location)];
    expect(await b.counts()).toEqual(await a.counts());
    await Promise.all([a.close(), b.close()]);
  }, 600_000);
});
