import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expiry, nodeVersion } from '../../src/commands/doctor/host-checks.js';
import { runCheck } from '../../src/commands/doctor/finding.js';
import { skew } from '../../src/commands/doctor/database-checks.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';
import { settings } from '../workers/runtime-support.js';
import { TestSite } from '../workers/support.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly text: string;
  readonly fix: string | null;
}

let site: TestSite;
let redis: TestRedis;
let env: Record<string, string>;
beforeAll(async () => {
  [site, redis] = await Promise.all([TestSite.create(), TestRedis.start()]);
  env = {
    ...settings(site, redis),
    MPE_GATEWAY_LISTEN: '127.0.0.1:9',
    MPE_GATEWAY_OPS_LISTEN: 'off',
    MPE_RECOVERY_OPS_LISTEN: 'off',
  };
});
afterAll(async () => {
  await site.store.close();
  await redis.stop();
});

async function mpe(
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly out: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    env: { PATH: process.env['PATH'], ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const [code] = (await once(child, 'close')) as [number];
  const stdout = Buffer.concat(out).toString();
  return { code, stdout, out: stdout + Buffer.concat(err).toString() };
}

async function doctor(
  more: Record<string, string> = {},
): Promise<{ code: number; findings: Finding[]; out: string }> {
  const { code, stdout, out } = await mpe(['doctor', '--json'], more);
  return { code, out, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

/** What doctor says of a host whose services answer: its questions have bounds that a busy machine may take. */
async function answeredDoctor(): ReturnType<typeof doctor> {
  let said = await doctor();
  await expect
    .poll(
      async () => {
        const states = ['redis', 'redis clock', 'database'].map(
          (check) => of(said.findings, check)[0]?.state,
        );
        if (states.some((state) => state !== 'ok')) said = await doctor();
        return states;
      },
      { timeout: 150_000, interval: 0 },
    )
    .toEqual(['ok', 'ok', 'ok']);
  return said;
}

const of = (findings: readonly Finding[], check: string): Finding[] =>
  findings.filter((finding) => finding.check === check);

/** Every private part in the key folder. */
function privateTexts(): string[] {
  const keys = join(site.folder, 'keys');
  return readdirSync(keys, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .flatMap((text) => [
      ...[...text.matchAll(/"(?:d|key)": "([\w-]{40,})"/g)].map(([, value]) => value!),
      ...(text.includes('PRIVATE KEY') ? [text.split('\n')[1]!] : []),
    ]);
}

describe('mpe doctor', () => {
  test('with everything down answers within seconds, with a fix for each failure and no secret', async () => {
    const began = performance.now();
    const { code, findings, out } = await doctor({
      MPE_HOME: tempFolder(),
      MPE_REDIS_URL: 'redis://user:hunter2hunter2@127.0.0.1:9',
      MPE_STORE_URL: 'mssql://sa:hunter3hunter3@127.0.0.1:9/site',
      MPE_LOG_LEVEL: 'loud',
      MPE_HOEM: 'x',
    });
    expect(code).toBe(2);
    expect(performance.now() - began).toBeLessThan(90_000);
    for (const check of ['configuration', 'key folder', 'database', 'redis', 'workers'])
      expect(of(findings, check).some(({ state }) => state === 'fail')).toBe(true);
    expect(of(findings, 'configuration').filter(({ state }) => state === 'fail')).toHaveLength(2);
    // Without a site Redis was not asked, so nobody is sent to mend it.
    expect(of(findings, 'redis')).toMatchObject([{ fix: expect.stringContaining('"key folder"') }]);
    for (const { state, fix, text } of findings) {
      expect(fix === null).toBe(state === 'ok');
      expect(text).not.toContain('\n');
    }
    expect(out).not.toMatch(/hunter[23]/);
  });

  test('sees a sound host, its backup, and what is wrong with a file; says how to mend it', async () => {
    const before = await answeredDoctor();
    expect(before.code).toBe(2);
    for (const check of [
      'key folder',
      'certificates',
      'database',
      'schema',
      'keys and database',
      'site document',
    ])
      expect(of(before.findings, check).every(({ state }) => state === 'ok')).toBe(true);
    expect(of(before.findings, 'redis')).toMatchObject([{ state: 'ok' }]);
    expect(of(before.findings, 'redis clock')).toMatchObject([{ state: 'ok' }]);
    expect(of(before.findings, 'workers')).toMatchObject([{ state: 'fail' }]);
    expect(of(before.findings, 'gateway')).toMatchObject([
      { state: 'fail', text: expect.stringContaining(':9') },
    ]);
    expect(of(before.findings, 'backup')).toMatchObject([{ state: 'warn' }]);

    const passwordFile = join(site.folder, 'password');
    writeFileSync(passwordFile, 'correct horse battery staple', { mode: 0o600 });
    expect((await mpe(['backup', join(site.folder, 'b'), '--password-file', passwordFile])).code).toBe(0);
    const secret = join(site.folder, 'keys', 'worker', 'worker-secret.json');
    const away = join(site.folder, 'away');
    renameSync(secret, away);
    const root = join(site.folder, 'keys', 'root', 'root-key.json');
    chmodSync(root, 0o644);
    writeFileSync(join(site.folder, 'keys', 'root', 'notes.txt'), 'x', { mode: 0o600 });
    try {
      const [after, list] = await Promise.all([doctor(), mpe(['secrets', 'list', '--json'])]);
      expect(of(after.findings, 'key folder')).toMatchObject([
        { state: 'fail', text: expect.stringContaining('root-key.json can be read by others (mode 0644)') },
        { state: 'warn', text: expect.stringContaining('root/notes.txt') },
        { state: 'fail', text: expect.stringContaining('worker-secret.json is missing') },
      ]);
      expect(of(after.findings, 'backup')).toMatchObject([
        { state: 'warn', text: expect.stringContaining('root/notes.txt') },
      ]);
      expect(list.code).toBe(1);
      const { files } = JSON.parse(list.stdout) as {
        files: { path: string; state: string; inBackup: boolean }[];
      };
      const stateOf = (path: string): string | undefined => files.find((one) => one.path === path)?.state;
      expect(stateOf('root/root-key.json')).toBe('open to others');
      expect(stateOf('worker/worker-secret.json')).toBe('missing');
      expect(stateOf('root/notes.txt')).toBe('unexpected');
      expect(stateOf('recovery/BitLockerManagement_CERT-key.pem')).toBe('ok');
      renameSync(away, secret);
      for (const text of privateTexts())
        for (const { out } of [before, after, list]) expect(out).not.toContain(text);
    } finally {
      rmSync(join(site.folder, 'keys', 'root', 'notes.txt'));
      chmodSync(root, 0o600);
    }
  }, 400_000);
});

describe('a check', () => {
  test('that throws or hangs is a finding', async () => {
    const thrown = await runCheck({
      name: 'a',
      fix: 'mend it',
      run: () => {
        throw new Error('one\n  two');
      },
    });
    expect(thrown).toEqual([{ check: 'a', state: 'fail', text: 'one; two', fix: 'mend it' }]);
    const never = new Promise<never>(() => undefined);
    const late = await runCheck({ name: 'b', fix: 'wait', boundMs: 30, run: () => never });
    expect(late).toMatchObject([{ state: 'fail', text: expect.stringContaining('no answer within') }]);
  });

  test('judges by thresholds: 30 days, a day; versions of Node; clocks', () => {
    const day = 86_400_000;
    const at = (days: number): string => expiry('x', days * day, 0, 'renew').state;
    expect([31, 30, 7, 2, 1, 0, -5].map(at)).toEqual(['ok', 'warn', 'warn', 'warn', 'fail', 'fail', 'fail']);
    expect(
      ['18.20.0', '20.18.9', '20.19.0', '22.1.0', '24.0.0', '24.21.0', '25.0.0'].map(
        (v) => nodeVersion(v).state,
      ),
    ).toEqual([...['fail', 'fail', 'ok', 'ok', 'ok', 'warn', 'warn']]);
    expect([0, 1999, -2001, 60_001].map((ms) => skew('x', ms).state)).toEqual(['ok', 'ok', 'warn', 'fail']);
  });
});
