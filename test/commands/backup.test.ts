import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { openBackup, sealBackup } from '../../src/secrets/backup/format.js';
import { copyWithModes } from '../support/copy-folder.js';
import { MAIN } from '../support/engine-process.js';
import { countSteps, killedBehind, someOf, type KilledOptions } from '../support/killed-behind.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';
import { Gateway, MpeProcess, settings } from '../workers/runtime-support.js';
import { escrow, password, TestSite, volume } from '../workers/support.js';

// Many processes, each with its scrypt.
vi.setConfig({ testTimeout: 180_000 });

const PASSWORD = 'correct horse battery staple';
const FILES = 13;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let site: TestSite;
let folder: string;
let keys: string;
let file: string;
let passwordFile: string;

beforeAll(async () => {
  site = await TestSite.create();
});

/** A copy of the keys for each test; the database is shared, and only read. */
beforeEach(() => {
  folder = tempFolder('mpe-backup-');
  keys = join(folder, 'keys');
  copyWithModes(join(site.folder, 'keys'), keys);
  file = join(folder, 'keys.mpebackup');
  passwordFile = secretFile('password', `${PASSWORD}\n`);
});

function secretFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function start(args: readonly string[]): {
  readonly child: ReturnType<typeof spawn>;
  readonly ended: Promise<Ran>;
} {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'], MPE_HOME: site.folder, MPE_KEYS_DIR: keys },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: Buffer.concat(out).toString(),
    stderr: Buffer.concat(err).toString(),
  }));
  return { child, ended };
}

const mpe = (...args: readonly string[]): Promise<Ran> => start(args).ended;
const backup = (...more: readonly string[]): Promise<Ran> =>
  mpe('backup', file, '--password-file', passwordFile, ...more);
const restore = (...more: readonly string[]): Promise<Ran> =>
  mpe('restore', file, '--password-file', passwordFile, ...more);

/** Path → content and mode of every file below the key folder. */
function contents(of = keys): Map<string, string> {
  return new Map(
    readdirSync(of, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [
        path.slice(of.length + 1),
        `${(statSync(path).mode & 0o777).toString(8)} ${readFileSync(path, 'utf8')}`,
      ]),
  );
}

/** Private parts of every key, in the form in which the files hold them. */
function privateTexts(of: string): string[] {
  const found: string[] = [];
  for (const [, text] of contents(of)) {
    for (const [, value] of text.matchAll(/"(?:d|key)": "([\w-]{40,})"/g)) found.push(value!);
    const pem = /-----BEGIN PRIVATE KEY-----\n([\s\S]{60})/.exec(text)?.[1];
    if (pem !== undefined) found.push(pem.slice(0, 60).split('\n')[0]!);
  }
  return found;
}

function expectNoKey(...texts: readonly string[]): void {
  const secret = privateTexts(join(site.folder, 'keys'));
  expect(secret.length).toBeGreaterThanOrEqual(5);
  for (const text of texts) for (const key of [...secret, PASSWORD]) expect(text).not.toContain(key);
}

describe('mpe backup and restore', () => {
  test('bring every file back with its mode; neither the file nor any output shows a key', async () => {
    const before = contents();
    const made = await backup();
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain(`${FILES} files`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const verified = await mpe('backup', 'verify', file, '--password-file', passwordFile);
    expect(verified.stdout).toContain('Nothing here is newer than this backup');
    rmSync(keys, { recursive: true });
    const restored = await restore();
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(restored.stdout).toContain(`(${FILES} written, 0 were there)`);
    expect(restored.stdout).toContain('Keys and database fit');
    expect(contents()).toEqual(before);
    expect(await restore()).toMatchObject({
      stdout: expect.stringContaining(`(0 written, ${FILES} were there)`),
    });
    expectNoKey(
      ...[made, verified, restored].flatMap(({ stdout, stderr }) => [stdout, stderr]),
      readFileSync(file, 'latin1'),
      readFileSync(`${keys}.backup.json`, 'utf8'),
    );
  });

  test('take parts alone where they are named, and refuse what would lose or overwrite anything', async () => {
    expect((await backup()).code).toBe(0);
    const narrower = await backup('--roles', 'worker');
    expect(narrower).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^mpe: BACKUP_REFUSED: .*holds more/),
    });
    const before = contents();
    writeFileSync(join(keys, 'worker', 'worker-secret.json'), '{}', { mode: 0o600 });
    const over = await restore();
    expect(over).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^mpe: BACKUP_REFUSED: .*worker-secret/),
    });
    const into = join(folder, 'worker-host');
    expect((await restore('--into', into, '--roles', 'worker')).code).toBe(0);
    expect([...contents(into).keys()].sort()).toEqual(
      [...before.keys()].filter((path) => path === 'site.json' || path.startsWith('worker/')).sort(),
    );
    expect((await backup('--roles', 'nosuch')).code).toBe(2);
  });

  test('tell a short password, a wrong one and damage apart, and say no more', async () => {
    const short = secretFile('short', 'elevenchars');
    expect(await mpe('backup', file, '--password-file', short)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('it needs 12 or more'),
    });
    expect(existsSync(file)).toBe(false);
    expect(await mpe('backup', file)).toMatchObject({ code: 2 });
    await backup();
    const wrong = secretFile('wrong', 'correct horse battery stable');
    const refused = await mpe('restore', file, '--into', join(folder, 'new'), '--password-file', wrong);
    expect(refused).toEqual({
      ...{ code: 1, stdout: '' },
      stderr: 'mpe: BACKUP_PASSWORD: the password does not open this backup\n',
    });
    expect(existsSync(join(folder, 'new'))).toBe(false);
    const bytes = readFileSync(file);
    for (const at of [3, 20, 400, bytes.length - 60, bytes.length - 1]) {
      const broken = Buffer.from(bytes);
      broken[at] = broken[at]! ^ 1;
      await expect(openBackup(broken, PASSWORD)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
    }
    await expect(openBackup(bytes.subarray(0, 500), PASSWORD)).rejects.toMatchObject({
      code: 'BACKUP_INVALID',
    });
  });

  test('never write outside the folder, whatever a file names', async () => {
    for (const path of ['../evil', 'worker/../../evil', '/etc/evil', 'worker/.ssh', 'other/file']) {
      const evil = await sealBackup(newGuid(), [{ path, mode: 0o600, content: Buffer.of(1) }], PASSWORD, 0);
      await expect(openBackup(evil, PASSWORD)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
    }
  });

  test('of another site is told where it does not fit the database', async () => {
    const other = await TestSite.create();
    rmSync(keys, { recursive: true });
    copyWithModes(join(other.folder, 'keys'), keys);
    expect((await backup()).code).toBe(0);
    rmSync(keys, { recursive: true });
    const restored = await restore();
    expect(restored.code).toBe(1);
    expect(restored.stdout).toContain('do NOT fit the database');
    await other.store.close();
  });
});

describe('killed behind any change and run again', () => {
  const options = (): KilledOptions => ({
    cwd: folder,
    env: { MPE_HOME: site.folder, MPE_KEYS_DIR: keys },
  });

  test('a backup completes: the old file stays whole until the new one is', async () => {
    await backup();
    const first = readFileSync(file);
    const args = ['backup', file, '--password-file', passwordFile];
    const steps = await countSteps(args, options());
    for (const step of someOf(steps, 10)) {
      expect(await killedBehind(step, args, options())).toMatchObject({ killed: true });
      expect((await openBackup(readFileSync(file), PASSWORD)).files).toHaveLength(FILES);
    }
    // Of a process that died while it wrote.
    writeFileSync(`${file}.new-999999999`, 'half');
    expect((await backup()).code).toBe(0);
    expect(readdirSync(folder).filter((name) => name.includes('.new-'))).toEqual([]);
    expect(readFileSync(file).equals(first)).toBe(false);
  }, 240_000);

  test('a restore completes, its counts add up, and half of it starts no process', async () => {
    const before = contents();
    await backup();
    rmSync(keys, { recursive: true });
    const args = ['restore', file, '--password-file', passwordFile];
    const steps = await countSteps(args, options());
    const written = new Set<number>();
    let halves = 0;
    for (const step of someOf(steps, 12)) {
      rmSync(keys, { recursive: true, force: true });
      const where = `killed behind change ${step} of ${steps}`;
      expect(await killedBehind(step, args, options()), where).toMatchObject({ killed: true });
      const half = existsSync(join(keys, 'restore-unfinished.json'));
      if (half && !existsSync(join(keys, 'site.json'))) {
        halves += 1;
        expect((await mpe('secrets', 'verify')).stderr, where).toContain('KEY_FOLDER_INVALID');
      }
      const again = await restore('--json');
      expect(again.code, where).toBe(0);
      const counts = JSON.parse(again.stdout) as { written: number; kept: number };
      expect(counts.written + counts.kept, where).toBe(FILES);
      expect(contents(), where).toEqual(before);
      written.add(counts.written);
    }
    expect(halves).toBeGreaterThan(5);
    // It was stopped before the first file, behind the last one, and at several between them.
    expect(written).toContain(FILES);
    expect(written).toContain(0);
    expect(written.size).toBeGreaterThan(5);
  }, 600_000);

  test('a restore of another backup does not go on with it', async () => {
    await backup();
    rmSync(keys, { recursive: true });
    mkdirSync(keys, { mode: 0o700 });
    const marker = { format: 1, id: 'another', createdAt: '2026-01-01T00:00:00.000Z' };
    writeFileSync(join(keys, 'restore-unfinished.json'), JSON.stringify(marker), { mode: 0o600 });
    const refused = await restore();
    expect(refused.stderr).toMatch(/^mpe: BACKUP_REFUSED: .*another backup \(made 2026-01-01/);
    expect(readdirSync(keys)).toEqual(['restore-unfinished.json']);
  });
});

test('drill: the keys of a running site are lost, and come back from the backup', async () => {
  const drill = await TestSite.create();
  const redis = await TestRedis.start();
  const env = { ...settings(drill, redis) };
  keys = join(drill.folder, 'keys');
  const run = (...args: readonly string[]): Promise<Ran> => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    return once(child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: Buffer.concat(out).toString(),
      stderr: Buffer.concat(err).toString(),
    }));
  };
  try {
    const client = await drill.client();
    const pipeline = await drill.pipeline();
    const first = await client.message(
      escrow(volume([{ password: password(1) }, { password: password(2) }])),
    );
    await pipeline.processMessage(first.job, { alone: true });
    const options = ['--password-file', passwordFile];
    expect((await run('backup', file, ...options)).code).toBe(0);

    renameSync(keys, join(folder, 'lost'));
    expect((await run('worker')).stderr).toContain('KEY_FOLDER_INVALID');
    expect((await run('restore', file, ...options)).stdout).toContain('1 data keys open');

    const worker = new MpeProcess(drill, redis, ['worker', '--processes', '1']);
    await worker.ready(1);
    const second = await client.message(escrow(volume([{ password: password(3) }])));
    const [reply] = await new Gateway(drill, redis).send(second);
    expect(await reply).toMatchObject({ disposition: 'COMMITTED' });
    worker.child.kill('SIGTERM');
    await worker.ended;
    const verified = await run('secrets', 'verify', '--json');
    expect(JSON.parse(verified.stdout)).toMatchObject({
      ok: true,
      kinds: { RECOVERY_PASSWORD: { ok: 3, unreadable: 0, differs: 0 } },
    });
    for (const text of [password(1), password(2), password(3)]) expect(verified.stdout).not.toContain(text);
  } finally {
    await drill.store.close();
    await redis.stop();
  }
}, 120_000);
