import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.js';
import { apply } from '../../src/store/sqlite/apply.js';
import { classify } from '../../src/store/sqlite/classify.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { retryBusy } from '../../src/store/sqlite/retry-busy.js';
import { migrateSqlite } from '../../src/store/sqlite/schema-state.js';
import { tempFolder } from '../support/temp.js';
import { escrow } from './conformance/commits.js';
import { candidate, register, siteSeed, testPlanner } from './world.js';

describe('a full disk', () => {
  it('is transient for the whole group, leaves nothing of it, and the group commits once there is room', async () => {
    const path = join(tempFolder('mpe-full-'), 'site.db');
    const store = await openStore({ kind: 'sqlite', path });
    await store.createSite(siteSeed());
    await register(store, 1);
    const connection = Connection.open(path, { readOnly: false });
    // SQLite's own bound on the size of the file makes the disk full.
    connection.db.pragma(`max_page_count = ${String(connection.db.pragma('page_count', { simple: true }))}`);
    const messages = Array.from({ length: 64 }, (_, n) => candidate(escrow(n + 1)));
    const facts = classify(connection, messages);
    const decisions = await Promise.all(messages.map((message, i) => testPlanner()(message, facts[i]!)));
    const plans = decisions.flatMap((decision) => (decision.kind === 'write' ? [decision.plan] : []));
    await expect(retryBusy('committing', () => apply(connection, plans))).rejects.toMatchObject({
      code: 'STORE_TRANSIENT',
      facts: { code: 'SQLITE_FULL' },
    });
    expect(connection.db.inTransaction).toBe(false);
    expect(await store.counts()).toMatchObject({ outcomes: 0, keys: 0 });
    connection.db.pragma('max_page_count = 1000000');
    expect(apply(connection, plans).every((result) => result.kind === 'applied')).toBe(true);
    expect(await store.counts()).toMatchObject({ outcomes: 64, keys: 64 });
    connection.close();
    await store.close();
  });
});

/** Opens and closes the database in another process. */
function openElsewhere(path: string): void {
  const program = `
    const Database = require('better-sqlite3');
    const database = new Database(process.argv[1]);
    database.prepare('SELECT COUNT(*) FROM MPE_Site').get();
    database.close();`;
  execFileSync(process.execPath, ['-e', program, path]);
}

describe('the lock of an open store on its file', () => {
  // POSIX drops every lock that a process has on a file when the process closes any handle of that
  // file, also one that SQLite knows nothing of. When those on the file and on its index are gone,
  // another process thinks itself the last one and deletes the write-ahead log under us.
  it('stays when the process opens the database once more', async () => {
    const path = join(tempFolder('mpe-twice-'), 'site.db');
    const store = await openStore({ kind: 'sqlite', path });
    await store.createSite(siteSeed());
    await (await openStore({ kind: 'sqlite', path })).close();
    expect(await migrateSqlite(path, 1)).toEqual([]);
    // Without the lock on the index, that on the file is alone in keeping the log.
    closeSync(openSync(`${path}-shm`, 'r'));
    openElsewhere(path);
    expect(existsSync(`${path}-wal`)).toBe(true);
    await store.close();
  });
});

describe('a locked SQLite file', () => {
  it('lets the event loop run while another process holds the lock, then writes', async () => {
    const path = join(tempFolder('mpe-lock-'), 'site.db');
    const store = await openStore({ kind: 'sqlite', path });
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    let turns = 0;
    // Releases the lock only after the loop came round a few times: blocking it would never end.
    const timer = setInterval(() => {
      turns += 1;
      if (turns === 4) other.exec('COMMIT');
    }, 5);
    await store.createSite(siteSeed());
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(4);
    expect(await store.readSite()).not.toBeNull();
    other.close();
    await store.close();
  });

  it('gives up as STORE_TRANSIENT where the lock is never let go, and leaves nothing', async () => {
    const path = join(tempFolder('mpe-lock-'), 'site.db');
    await (await openStore({ kind: 'sqlite', path })).close();
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const connection = Connection.open(path, { readOnly: false });
    await expect(
      retryBusy('writing', () => connection.immediate(() => undefined), 150),
    ).rejects.toMatchObject({ code: 'STORE_TRANSIENT', retryable: true, facts: { code: 'SQLITE_BUSY' } });
    expect(connection.db.inTransaction).toBe(false);
    other.exec('ROLLBACK');
    other.close();
    connection.close();
  });

  it('reads while another process writes', async () => {
    const path = join(tempFolder('mpe-lock-'), 'site.db');
    const store = await openStore({ kind: 'sqlite', path });
    await store.createSite(siteSeed());
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    expect(await store.readSite()).not.toBeNull();
    other.exec('ROLLBACK');
    other.close();
    await store.close();
  });

  it('is readable by its owner alone, with its side files', async () => {
    const path = join(tempFolder('mpe-lock-'), 'deep', 'site.db');
    const store = await openStore({ kind: 'sqlite', path });
    await store.createSite(siteSeed());
    for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o077).toBe(0);
    await store.close();
  });

  it('says what is wrong with a file that is no database', async () => {
    const path = join(tempFolder('mpe-lock-'), 'site.db');
    writeFileSync(path, 'this is a text file, and it is long enough to be looked at'.repeat(20));
    await expect(openStore({ kind: 'sqlite', path })).rejects.toMatchObject({
      code: 'STORE_FAILED',
      facts: { code: 'SQLITE_NOTADB' },
    });
  });
});
