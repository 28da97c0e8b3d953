import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Engine } from '../support/engine.js';
import { Fleet } from '../support/fleet.js';
import { SeededRandom } from '../support/random.js';
import { auditSite } from '../support/site-audit.js';
import { tempFolder } from '../support/temp.js';
import { DEPLOY, makeSecrets } from './support.js';

// A real Redis with the users that make-secrets.sh makes, and a whole engine whose parts are these.
let engine: Engine;
let enrolmentToken: string;
const secrets = tempFolder('mpe-secrets-');
// Bounds for what never comes, on a machine that is busy.
vi.setConfig({ testTimeout: 400_000 });

const folder = tempFolder('mpe-engine-');
const acl = join(folder, 'users.acl');

const urlOf = (role: string): URL => new URL(readFileSync(join(secrets, `redis_${role}_url`), 'utf8'));

/** Settings of a process that is the given user, on this test's socket. */
function as(role: string): Record<string, string> {
  const { username, password } = urlOf(role);
  const file = join(secrets, `${role}_on_socket`);
  writeFileSync(file, `unix://${username}:${password}@localhost${join(folder, 'redis/redis.sock')}`);
  return { MPE_REDIS_URL: '', MPE_REDIS_URL_FILE: file };
}

function connect(role?: string): Redis {
  const { username, password } = role === undefined ? {} : urlOf(role);
  const redis = new Redis({
    path: engine.redis.socket,
    ...(username === undefined || password === undefined ? {} : { username, password }),
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', () => undefined);
  return redis;
}

beforeAll(async () => {
  makeSecrets(secrets);
  writeFileSync(acl, 'user default on nopass ~* &* +@all\n');
  engine = Engine.at({
    folder,
    workers: 2,
    redis: ['--aclfile', acl],
    roleSettings: { gateway: as('gateway'), worker: as('worker') },
  });
  enrolmentToken = await engine.initSite();
  await engine.redis.start();
  writeFileSync(acl, readFileSync(join(secrets, 'redis_users')));
  const redis = connect();
  expect(await redis.call('ACL', 'LOAD')).toBe('OK');
  redis.disconnect();
  await engine.start();
}, 120_000);
afterAll(async () => engine.dispose());

test('an engine whose parts are these users commits what clients send', async () => {
  const fleet = await Fleet.enrol({ url: engine.url, enrolmentToken, clients: 3 });
  await fleet.prepare(30, new SeededRandom(1));
  const report = await fleet.drain(150_000);
  await fleet.close();
  expect(report.pending).toBe(0);
  const audit = await auditSite(engine, fleet.messages, report.told);
  expect(audit).toMatchObject({ lost: [], unreadable: [], surplus: [], doubled: 0 });
  // No "CONFIG GET is refused" either: the settings were really read.
  expect([...engine.logTexts().values()].join('')).not.toContain('redis.unsafe');
  // Its questions have bounds of seconds, which a busy machine may take.
  const status = async (): Promise<string> => {
    const { code, stdout, stderr } = await engine.command(['status'], { settings: as('admin') });
    return `${code} ${stdout}${stderr}`;
  };
  await expect.poll(status, { timeout: 120_000, interval: 500 }).toMatch(/^0 /);
});

test('the health check of the containers says what readiness says', async () => {
  const ask = async (port: string): Promise<string> => {
    const script = join(DEPLOY, 'ready.mjs');
    return promisify(execFile)(process.execPath, [script, port]).then(
      ({ stdout }) => `0 ${stdout}`,
      (error: unknown) => {
        const { code, stdout } = error as { code: number; stdout: string };
        return `${code} ${stdout}`;
      },
    );
  };
  // It waits four seconds for an answer, which a busy machine may take.
  await expect
    .poll(() => ask(new URL(engine.opsUrl).port), { timeout: 120_000, interval: 500 })
    .toMatch(/^0 \{"ready":true/);
  expect(await ask('9')).toBe('1 no answer on port 9\n');
});

test('none of them may do more', async () => {
  const redis = connect('gateway');
  await expect(redis.get('another')).rejects.toThrow(/NOPERM/);
  await expect(redis.subscribe('another')).rejects.toThrow(/NOPERM/);
  for (const command of [
    ['FLUSHALL'],
    ['CONFIG', 'SET', 'appendonly', 'no'],
    ['KEYS', '*'],
    ['SHUTDOWN'],
    ['ACL', 'LIST'],
    ['MONITOR'],
    ['REPLICAOF', 'NO', 'ONE'],
  ])
    await expect(redis.call(command[0] ?? '', ...command.slice(1)), command.join(' ')).rejects.toThrow(
      /NOPERM/,
    );
  redis.disconnect();
});

test('nobody gets in without a password, but for the health check, which may ask for life alone', async () => {
  const nobody = connect();
  await expect(nobody.ping()).rejects.toThrow();
  nobody.disconnect();
  const health = new Redis({
    path: engine.redis.socket,
    username: 'health',
    password: 'x',
    enableReadyCheck: false,
  });
  health.on('error', () => undefined);
  expect(await health.ping()).toBe('PONG');
  await expect(health.get('x')).rejects.toThrow(/NOPERM/);
  health.disconnect();
});
