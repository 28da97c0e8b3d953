import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';
import { Gateway, MpeProcess, settings, until } from '../workers/runtime-support.js';
import { escrow, password, TestClient, TestSite, volume } from '../workers/support.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `mpe …` from the sources, as a process of its own. */
async function mpe(env: Record<string, string>, ...args: readonly string[]): Promise<Ran> {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/**
 * Runs `mpe …` until it says what is asked for. Commands wait two seconds for Redis, which a busy machine may
 * take; they then tell so, and may be called again.
 */
async function mpeThat(says: (ran: Ran) => boolean, ...args: readonly string[]): Promise<Ran> {
  let ran: Ran | undefined;
  await until(async () => says((ran = await mpe(env, ...args))), BOUND_MS);
  return ran!;
}

// Bounds for what never comes.
const BOUND_MS = 150_000;
vi.setConfig({ testTimeout: 400_000 });

let site: TestSite;
let redis: TestRedis;
let client: TestClient;
let env: Record<string, string>;
beforeAll(async () => {
  [site, redis] = await Promise.all([TestSite.create(), TestRedis.start()]);
  client = await site.client();
  env = settings(site, redis);
});
afterAll(() => redis.stop());

describe('mpe messages', () => {
  test('show tells where a message is, with its stages and without its content', async () => {
    const pipeline = await site.pipeline();
    const canary = password(77);
    const done = await client.message(escrow(volume([{ password: canary }])));
    await pipeline.processMessage(done.job, { alone: true });
    const kept = await (await TestClient.unregistered(site)).message(escrow(volume([{ password: canary }])));
    await pipeline.processMessage(kept.job, { alone: true });
    const queued = await client.message(escrow(volume([{ password: canary }])));
    await new Gateway(site, redis).add(queued);
    const show = (id: string, ...more: string[]): Promise<Ran> =>
      mpeThat(
        ({ stdout }) => !/Redis does not answer|"unknown"/.test(stdout),
        'messages',
        'show',
        id,
        ...more,
      );

    const committed = await show(done.job.messageId.toUpperCase());
    const json = await show(done.job.messageId, '--json');
    const quarantined = await show(kept.job.messageId);
    const waiting = await show(queued.job.messageId, '--client', client.clientId);
    const nowhere = await show(newGuid());
    expect(committed.stdout).toMatch(/^COMMITTED {2}\S+Z \(attempt 1\)/);
    for (const stage of ['receive', 'open', 'verify', 'decode', 'validate', 'commit'])
      expect(committed.stdout).toContain(` ${stage}`);
    expect(committed.stdout).toContain(client.clientId);
    expect(JSON.parse(json.stdout)).toMatchObject({
      outcomes: [{ disposition: 'COMMITTED', sequence: '1' }],
      queue: [{ state: 'absent' }],
    });
    expect(quarantined.stdout).toMatch(/^QUARANTINED CLIENT_UNKNOWN/);
    expect(waiting.stdout).toContain('in the queue now');
    expect([committed.code, quarantined.code, waiting.code, nowhere.code]).toEqual([0, 0, 0, 1]);
    expect(nowhere.stdout).toContain('is nowhere');
    for (const { stdout } of [committed, json, quarantined, waiting]) {
      expect(stdout).not.toContain(canary);
      expect(stdout).not.toContain(done.job.sealed.slice(-40));
      expect(stdout).not.toContain(kept.job.sealed.slice(-40));
    }
  });

  test('redrive lets a dead letter run once more', async () => {
    const { job } = await client.message(escrow(volume([{ password: password(78) }])));
    const pipeline = await site.pipeline();
    await pipeline.addDeadLetter(job, 'HANDLER_FAILED', 'a bug of yesterday');
    const shown = await mpe(env, 'messages', 'show', job.messageId);
    expect(shown.stdout).toMatch(/^DEAD LETTER HANDLER_FAILED/);
    const redrive = ['messages', 'redrive', client.clientId, job.messageId];
    const redriven = await mpeThat(({ stdout }) => stdout.includes('put into the queue'), ...redrive);
    expect(redriven.code).toBe(0);
    const worker = new MpeProcess(site, redis, ['worker', '--processes', '1']);
    await until(
      async () => (await site.store.findDeadLetter(client.clientId, job.messageId)) === null,
      BOUND_MS,
    );
    expect(await site.store.findOutcome(client.clientId, job.messageId)).toMatchObject({
      disposition: 'COMMITTED',
    });
    worker.child.kill('SIGTERM');
    await worker.ended;
    expect((await mpe(env, 'messages', 'redrive', client.clientId, newGuid())).code).toBe(2);
  });
});

describe('mpe clients', () => {
  test('show, block, unblock', async () => {
    const one = await site.client();
    const shown = await mpe(env, 'clients', 'show', `{${one.clientId.toUpperCase()}}`);
    expect(shown.stdout).toContain(`Client ${one.clientId}  ACTIVE  epoch 1`);
    expect(shown.stdout).toContain(one.key.kid);
    expect((await mpe(env, 'clients', 'block', one.clientId)).code).toBe(0);
    expect((await site.store.findClient(one.clientId))?.state).toBe('BLOCKED');
    expect((await mpe(env, 'clients', 'unblock', one.clientId)).code).toBe(0);
    expect((await site.store.findClient(one.clientId))?.state).toBe('ACTIVE');
    expect(await mpe(env, 'clients', 'show', newGuid())).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('mpe keys find', () => {
  test('finds by eight digits in any spelling, shows metadata alone', async () => {
    const keyId = newGuid();
    const text = password(79);
    const { job } = await client.message(escrow(volume([{ keyId, password: text }])));
    await (await site.pipeline()).processMessage(job, { alone: true });
    for (const spelling of [
      keyId.slice(0, 8),
      `{${keyId.toUpperCase()}}`,
      keyId.slice(0, 13).toUpperCase(),
    ]) {
      const { code, stdout } = await mpe(env, 'keys', 'find', spelling);
      expect(code).toBe(0);
      expect(stdout).toContain(`${keyId}  volume`);
      expect(stdout).toContain(`current of PC-1  client ${client.clientId}`);
      expect(stdout).not.toContain(text.slice(0, 13));
    }
    expect((await mpe(env, 'keys', 'find', keyId.slice(0, 7))).stderr).toContain('8 to 32 hex digits');
    expect((await mpe(env, 'keys', 'find', 'ffffffff')).code).toBe(1);
  });
});

describe('mpe status', () => {
  const status = async (
    more: Record<string, string> = {},
  ): Promise<{ code: number | null; state: string; problems: string[] }> => {
    const { code, stdout } = await mpe(
      { ...env, MPE_GATEWAY_OPS_LISTEN: '127.0.0.1:9', ...more },
      'status',
      '--json',
    );
    const { state, problems } = JSON.parse(stdout) as { state: string; problems: string[] };
    return { code, state, problems };
  };

  test('is down without a database, without Redis, and without any process; it always answers', async () => {
    const nothing = { MPE_HOME: tempFolder(), MPE_REDIS_URL: 'redis://127.0.0.1:9' };
    expect(await status(nothing)).toMatchObject({ code: 2, state: 'down' });
    const noRedis = await status({ MPE_REDIS_URL: 'redis://127.0.0.1:9' });
    expect(noRedis).toMatchObject({ code: 2, state: 'down' });
    expect(noRedis.problems.join()).toMatch(/Redis/);
  });

  test('is degraded while workers run and no gateway answers', async () => {
    const worker = new MpeProcess(site, redis, ['worker', '--processes', '1', '--concurrency', '3']);
    await worker.ready(1);
    // It also tells of a message that has waited for a minute, and of a Redis that took its time.
    await expect
      .poll(status, { timeout: BOUND_MS, interval: 0 })
      .toEqual({ code: 1, state: 'degraded', problems: [expect.stringMatching(/^gateway: /)] });
    const ran = await mpeThat(({ stdout }) => !stdout.includes('workers     not known'), 'status');
    expect(ran.stdout).toContain('1 process, 3 messages at a time');
  });
});

test('mpe up runs everything, restarts what crashes, and leaves nothing behind', async () => {
  const own = {
    MPE_GATEWAY_LISTEN: '127.0.0.1:0',
    MPE_GATEWAY_OPS_LISTEN: '127.0.0.1:0',
    MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0',
    MPE_REDIS_URL: '',
  };
  const up = new MpeProcess(site, redis, ['up', '--processes', '1'], own);
  await until(() => up.count('up.ready') === 1, BOUND_MS);
  const pidOf = (name: string): number =>
    Number(
      up
        .lines()
        .filter((l) => l['event'] === 'child.started' && l['child'] === name)
        .at(-1)?.['childPid'],
    );
  const first = pidOf('worker-1');
  process.kill(first, 'SIGKILL');
  await until(() => up.count('worker.ready') === 2, BOUND_MS);
  expect(pidOf('worker-1')).not.toBe(first);
  const again = new MpeProcess(site, redis, ['up'], own);
  await again.ended;
  expect(again.child.exitCode).toBe(1);

  // The canary belongs to it.
  await until(() => up.count('recovery.ready') === 1, BOUND_MS);
  const pids = [pidOf('worker-1'), pidOf('gateway'), pidOf('recovery')];
  up.child.kill('SIGTERM');
  await up.ended;
  expect(up.child.exitCode).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  expect(up.count('redis.started')).toBe(1);
});
