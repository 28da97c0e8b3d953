import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateStore } from '../../src/store/migrate-store.js';
import { openStore, type StoreLocation } from '../../src/store/open-store.js';
import { ROOT } from '../support/engine-process.js';
import { describeSqlServer, makeSqlServerDatabase } from '../support/sqlserver.js';
import { tempFolder } from '../support/temp.js';
import { id, register, siteSeed } from './world.js';

// Two releases side by side: the one before works while a migration comes, the present one beside it.

const PRESENT = join(ROOT, 'dist');
const LOAD = join(import.meta.dirname, 'release-load.mjs');
/** Commits of each process; a busy server takes a second for some. */
const COUNT = 150;
const CASE_MS = 600_000;
let worktree: string | null = null;
/** The build of the commit before, and why there is none. */
let before: { readonly dist: string } | { readonly missing: string } = { missing: 'not built yet' };

beforeAll(() => {
  before = buildBefore();
}, 1_200_000);

function buildBefore(): typeof before {
  const folder = join(tempFolder('mpe-release-'), 'before');
  const added = spawnSync('git', ['worktree', 'add', '--detach', folder, 'HEAD~1'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (added.status !== 0)
    return { missing: `there is no history with a commit before (git: ${added.stderr.trim()})` };
  worktree = folder;
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const built = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: folder, encoding: 'utf8' });
  if (built.status !== 0)
    return { missing: `the commit before does not build:\n${built.stdout}${built.stderr}` };
  return { dist: join(folder, 'dist') };
}

/** What stands for the release before in tests of a store, and why it is not that; null: it is. */
function releaseBefore(dialect: 'sqlite' | 'mssql'): { readonly dist: string; readonly why: string | null } {
  if ('missing' in before) return { dist: PRESENT, why: before.missing };
  return existsSync(join(before.dist, 'store', dialect, 'migrations'))
    ? { dist: before.dist, why: null }
    : { dist: PRESENT, why: `the commit before has no ${dialect} store` };
}

afterAll(() => {
  if (worktree !== null) spawnSync('git', ['worktree', 'remove', '--force', worktree], { cwd: ROOT });
});

/** A process of a release that commits; `started` when its first message is in, its last ones after `goOn`. */
function load(dist: string, location: StoreLocation, client: number, count: number) {
  const args = [LOAD, dist, JSON.stringify(location), id('client', client), String(count)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  const started = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const done = new Promise<string[]>((resolve) => {
    child.once('close', () => resolve(text.trim().split('\n')));
  });
  return { started, goOn: () => child.stdin.end(), done };
}

/** The migrations of this release and one more. */
function folderWith(dialect: 'sqlite' | 'mssql', sql: string): string {
  const folder = tempFolder('mpe-migrations-');
  const own = join(ROOT, 'src', 'store', dialect, 'migrations');
  cpSync(own, folder, { recursive: true });
  let number = 1;
  while (existsSync(join(folder, `${String(number).padStart(6, '0')}.sql`))) number += 1;
  writeFileSync(join(folder, `${String(number).padStart(6, '0')}.sql`), sql);
  return folder;
}

function cases(dialect: 'sqlite' | 'mssql', make: () => Promise<StoreLocation>): void {
  const added =
    dialect === 'sqlite' ? 'CREATE TABLE MPE_New (Id INTEGER);\n' : 'CREATE TABLE dbo.MPE_New (Id int);\n';

  it('the release before is there', (test) => {
    const { why } = releaseBefore(dialect);
    if (why === null) return;
    const text = `THE PRESENT BUILD STANDS FOR THE RELEASE BEFORE, NOTHING IS PROVEN ABOUT TWO: ${why}`;
    console.warn(`\n${'!'.repeat(text.length)}\n${text}\n${'!'.repeat(text.length)}\n`);
    test.skip(text);
  });

  it(
    'an added table in the middle of the work loses nothing, and both releases go on',
    async () => {
      const location = await make();
      const old = load(releaseBefore(dialect).dist, location, 1, COUNT);
      await old.started;
      expect(await migrateStore(location, 1, folderWith(dialect, added))).toHaveLength(1);
      const beside = load(PRESENT, location, 2, COUNT);
      await beside.started;
      old.goOn();
      beside.goOn();
      const committed = await Promise.all([old.done, beside.done]);
      expect(committed.flat().filter((line) => line.startsWith('ERROR'))).toEqual([]);
      const store = await openStore(location);
      try {
        expect((await store.counts()).outcomes).toBe(2 * COUNT);
        expect(committed.map((list) => list.length)).toEqual([COUNT, COUNT]);
      } finally {
        await store.close();
      }
    },
    CASE_MS,
  );

  it(
    'a breaking migration makes the release before refuse to start',
    async () => {
      const location = await make();
      await migrateStore(location, 1, folderWith(dialect, `--! breaking\n${added}`));
      const process = load(releaseBefore(dialect).dist, location, 1, 1);
      process.goOn();
      const [line] = await process.done;
      expect(line).toMatch(/^ERROR SCHEMA_MISMATCH .*run a newer release/);
    },
    CASE_MS,
  );
}

async function site(location: StoreLocation): Promise<StoreLocation> {
  const store = await openStore(location);
  await store.createSite(siteSeed());
  await register(store, 1, 2);
  await store.close();
  return location;
}

describe('two releases on SQLite', () => {
  cases('sqlite', () => site({ kind: 'sqlite', path: join(tempFolder('mpe-two-'), 'site.db') }));
});

describeSqlServer('two releases on SQL Server', () => {
  cases('mssql', async () => site((await makeSqlServerDatabase({ schema: true })).location));
});
