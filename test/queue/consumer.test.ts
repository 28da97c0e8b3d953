import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { connectRedis, JOB_FORMAT, jobIdOf, type TakenJob } from '../../src/queue/index.js';
import { TestRedis } from '../support/redis.js';
import { eventually, keptLog, openQueue, someJob, startConsumer } from './support.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

/** Adds something that the typed producer cannot. */
async function addRaw(siteGuid: Guid, id: string, data: unknown): Promise<void> {
  const connection = connectRedis(redis.url, 'consumer');
  const queue = new Queue('messages', { connection, prefix: `{mpe:${siteGuid.slice(0, 8)}}` });
  await queue.add('message', data, { jobId: id });
  await queue.close();
  connection.disconnect();
}

const none = { waiting: 0, active: 0, delayed: 0, failed: 0 };

describe('consuming', () => {
  test('a done job leaves nothing behind', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const seen: TakenJob[] = [];
    startConsumer(redis, siteGuid, {
      process: (job) => {
        seen.push(job);
        return Promise.resolve({ kind: 'done' });
      },
    });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(async () => expect(await queue.state(jobIdOf(job))).toBe('absent'));
    expect(seen).toEqual([{ id: jobIdOf(job), data: job, stalled: 0 }]);
    expect(await queue.depth()).toMatchObject(none);
  });

  test('a delayed job comes again and is not counted as stalled', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const stalls: number[] = [];
    startConsumer(redis, siteGuid, {
      process: (job) => {
        stalls.push(job.stalled);
        return Promise.resolve(stalls.length < 4 ? { kind: 'delay', ms: 30 } : { kind: 'done' });
      },
    });
    await eventually(() => queue.add(someJob()));
    await eventually(() => expect(stalls).toEqual([0, 0, 0, 0]));
    await eventually(async () => expect(await queue.depth()).toMatchObject(none));
  });

  test('a throw delays the job and never fails it; its text stays out of Redis', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const { log, events } = keptLog();
    startConsumer(redis, siteGuid, { log, process: () => Promise.reject(new Error('SECRET-TEXT')) });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(async () => expect(await queue.depth()).toMatchObject({ ...none, delayed: 1 }));
    expect(events()).toContain('queue.process_threw');
    const raw = redis.connect();
    const fields = await raw.hgetall(`{mpe:${siteGuid.slice(0, 8)}}:messages:${jobIdOf(job)}`);
    raw.disconnect();
    expect(fields['data']).toBeDefined();
    expect(JSON.stringify(fields)).not.toContain('SECRET-TEXT');
  });

  test('a job of a newer format waits for a newer worker, untouched', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    let ran = 0;
    const { log, events } = keptLog();
    startConsumer(redis, siteGuid, {
      log,
      newerFormatDelayMs: 50,
      process: () => {
        ran += 1;
        return Promise.resolve({ kind: 'done' });
      },
    });
    await addRaw(siteGuid, 'm-newer', { v: JOB_FORMAT + 1, kind: 'message', somethingNew: true });
    await eventually(() =>
      expect(events().filter((event) => event === 'queue.newer_format').length).toBeGreaterThan(2),
    );
    expect(await queue.state('m-newer')).toBe('present');
    expect(ran).toBe(0);
  });

  test('many jobs of a newer format are no standstill', async () => {
    const siteGuid = newGuid();
    const { log, events } = keptLog();
    for (let n = 0; n < 100; n += 1)
      await addRaw(siteGuid, `m-newer-${n}`, { v: JOB_FORMAT + 1, kind: 'message' });
    startConsumer(redis, siteGuid, {
      log,
      concurrency: 1,
      newerFormatDelayMs: 1,
      noProgressMs: 5000,
      process: () => Promise.resolve({ kind: 'done' }),
    });
    // Long enough that the watch, which looks four times in `noProgressMs`, would have seen a standstill, and
    // with a bound that a slow disk below Redis does not reach.
    const began = performance.now();
    await eventually(() => {
      expect(performance.now() - began).toBeGreaterThan(10_000);
      expect(events().filter((event) => event === 'queue.newer_format').length).toBeGreaterThan(200);
    });
    expect(events()).not.toContain('queue.no_progress');
  });

  test('what the queue fails by itself goes to the sweeper and then out of Redis', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const consumer = startConsumer(redis, siteGuid, { process: () => Promise.resolve({ kind: 'done' }) });
    await addRaw(siteGuid, 'm-broken', { v: 1, kind: 'message', sealed: 'SECRET-TOKEN' });
    await eventually(async () => expect((await queue.depth()).failed).toBe(1));
    await expect(consumer.sweepFailed(() => Promise.reject(new Error('the database is away')))).resolves.toBe(
      0,
    );
    expect((await queue.depth()).failed).toBe(1);
    const swept: unknown[] = [];
    expect(
      await consumer.sweepFailed((job) => {
        swept.push(job);
        return Promise.resolve();
      }),
    ).toBe(1);
    expect(swept).toMatchObject([{ id: 'm-broken', data: null }]);
    expect(JSON.stringify(swept)).not.toContain('SECRET-TOKEN');
    expect(await queue.depth()).toMatchObject(none);
    expect(await queue.state('m-broken')).toBe('absent');
  });

  test('jobs that wait while none ends are reported', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const { log, events } = keptLog();
    startConsumer(redis, siteGuid, {
      log,
      concurrency: 1,
      noProgressMs: 100,
      process: () => new Promise(() => undefined),
    });
    await eventually(() => queue.add(someJob()));
    await queue.add(someJob());
    await eventually(() => expect(events()).toContain('queue.no_progress'));
  });
});

describe('locks', () => {
  test('a lost lock fires the signal of the job', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const reasons: unknown[] = [];
    let runs = 0;
    startConsumer(redis, siteGuid, {
      concurrency: 1,
      lockMs: 1000,
      process: async (_job, signal) => {
        runs += 1;
        if (runs > 1) return { kind: 'done' };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        reasons.push(signal.reason);
        return { kind: 'done' };
      },
    });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(() => expect(runs).toBeGreaterThan(0));
    const raw = redis.connect();
    await raw.del(`{mpe:${siteGuid.slice(0, 8)}}:messages:${jobIdOf(job)}:lock`);
    raw.disconnect();
    await eventually(() => expect(reasons).toHaveLength(1));
    // It is somebody's again, and ends.
    await eventually(async () => expect(await queue.state(jobIdOf(job))).toBe('absent'));
    expect(runs).toBeGreaterThan(1);
  });

  test('a lost lock whose job this same process takes again fires the signal of the first delivery', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    let runs = 0;
    let fired = false;
    // Abandoned jobs are found long before the lock is to be renewed.
    startConsumer(redis, siteGuid, {
      process: async (_job, signal) => {
        runs += 1;
        if (runs > 1) return { kind: 'done' };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        fired = true;
        return { kind: 'done' };
      },
    });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(() => expect(runs).toBe(1));
    const raw = redis.connect();
    await raw.del(`{mpe:${siteGuid.slice(0, 8)}}:messages:${jobIdOf(job)}:lock`);
    raw.disconnect();
    await eventually(() => expect([fired, runs]).toEqual([true, 2]));
    await eventually(async () => expect(await queue.state(jobIdOf(job))).toBe('absent'));
  });

  test('and the end of that first delivery leaves the lock of the newer one renewed', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    let runs = 0;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    startConsumer(redis, siteGuid, {
      lockMs: 6000,
      process: async (_job, signal) => {
        runs += 1;
        if (runs > 1) await released;
        else await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return { kind: 'done' };
      },
    });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(() => expect(runs).toBe(1));
    const raw = redis.connect();
    onTestFinished(() => raw.disconnect());
    onTestFinished(() => release());
    const lock = `{mpe:${siteGuid.slice(0, 8)}}:messages:${jobIdOf(job)}:lock`;
    await raw.del(lock);
    await eventually(() => expect(runs).toBe(2));
    // One lock, and its time goes up again.
    const token = await raw.get(lock);
    let least = Number.MAX_SAFE_INTEGER;
    await eventually(async () => {
      const left = await raw.pttl(lock);
      least = Math.min(least, left);
      expect(left).toBeGreaterThan(least + 100);
    });
    expect(await raw.get(lock)).toBe(token);
    release();
    await eventually(async () => expect(await queue.state(jobIdOf(job))).toBe('absent'));
  });

  test('a job of a killed process goes to another one, marked as stalled', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const child = await forkConsumer(siteGuid);
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(async () => expect((await queue.depth()).active).toBe(1));
    child.kill('SIGKILL');
    const stalls: number[] = [];
    startConsumer(redis, siteGuid, {
      process: (taken) => {
        stalls.push(taken.stalled);
        return Promise.resolve({ kind: 'done' });
      },
    });
    await eventually(() => expect(stalls[0]).toBeGreaterThan(0));
    await eventually(async () => expect(await queue.depth()).toMatchObject(none));
  });

  test('many stalls never fail a job', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    const job = someJob();
    await eventually(() => queue.add(job));
    const raw = redis.connect();
    await raw.hset(`{mpe:${siteGuid.slice(0, 8)}}:messages:${jobIdOf(job)}`, 'stc', '5000');
    raw.disconnect();
    const stalls: number[] = [];
    startConsumer(redis, siteGuid, {
      process: (taken) => {
        stalls.push(taken.stalled);
        return Promise.resolve({ kind: 'done' });
      },
    });
    await eventually(() => expect(stalls).toEqual([5000]));
  });
});

describe('outages and closing', () => {
  test('work goes on by itself after Redis was killed, and every added job is done', async () => {
    const own = await TestRedis.start();
    onTestFinished(() => own.stop());
    const siteGuid = newGuid();
    const queue = openQueue(own, siteGuid);
    const done = new Set<string>();
    startConsumer(own, siteGuid, {
      // A job that Redis handed out while it died is nobody's until its lock runs out.
      lockMs: 3000,
      process: async (job) => {
        await sleep(5);
        done.add(job.id);
        return { kind: 'done' };
      },
    });
    const added: string[] = [];
    const add = async (): Promise<void> => {
      const job = someJob();
      await queue.add(job);
      added.push(jobIdOf(job));
    };
    await eventually(add);
    for (let i = 0; i < 100; i += 1) await add();
    await own.kill();
    await own.start();
    for (let i = 0; i < 100; i += 1) await eventually(add);
    await eventually(() => expect(added.filter((id) => !done.has(id))).toEqual([]));
    await eventually(async () => expect(await queue.depth()).toMatchObject(none));
  });

  test('a consumer may be started before Redis', async () => {
    const own = new TestRedis();
    onTestFinished(() => own.stop());
    const siteGuid = newGuid();
    let done = 0;
    startConsumer(own, siteGuid, {
      process: () => {
        done += 1;
        return Promise.resolve({ kind: 'done' });
      },
    });
    await own.start();
    const queue = openQueue(own, siteGuid);
    await eventually(() => queue.add(someJob()));
    await eventually(() => expect(done).toBe(1));
  });

  test('closing waits for the jobs in hand', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    let letGo = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const order: string[] = [];
    const consumer = startConsumer(redis, siteGuid, {
      process: async () => {
        await gate;
        order.push('ended');
        return { kind: 'done' };
      },
    });
    await eventually(() => queue.add(someJob()));
    await eventually(() => expect(consumer.active()).toBe(1));
    const closing = consumer.close(90_000).then(() => order.push('closed'));
    // Time for a close that does not wait.
    await sleep(200);
    letGo();
    await closing;
    expect(order).toEqual(['ended', 'closed']);
    expect(await queue.depth()).toMatchObject(none);
  });

  test('closing with a job that hangs comes back, fires its signal and hands the job on, not as a suspect', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid);
    let fired = false;
    const consumer = startConsumer(redis, siteGuid, {
      process: (_job, signal) => {
        signal.addEventListener('abort', () => (fired = true));
        return new Promise(() => undefined);
      },
    });
    const job = someJob();
    await eventually(() => queue.add(job));
    await eventually(() => expect(consumer.active()).toBe(1));
    await consumer.close(100);
    expect(fired).toBe(true);
    expect(consumer.active()).toBe(0);
    const stalls: number[] = [];
    startConsumer(redis, siteGuid, {
      process: (taken) => {
        stalls.push(taken.stalled);
        return Promise.resolve({ kind: 'done' });
      },
    });
    await eventually(() => expect(stalls).toEqual([0]));
  });

  test('closing comes back while Redis is away', async () => {
    const own = await TestRedis.start();
    onTestFinished(() => own.stop());
    const siteGuid = newGuid();
    const queue = openQueue(own, siteGuid);
    const consumer = startConsumer(own, siteGuid, { process: () => new Promise(() => undefined) });
    await eventually(() => queue.add(someJob()));
    await eventually(() => expect(consumer.active()).toBe(1));
    await own.kill();
    await consumer.close(100);
    expect(consumer.active()).toBe(0);
  });
});

/** A consumer in a process of its own that takes a job and never ends it. */
async function forkConsumer(siteGuid: Guid): Promise<ChildProcess> {
  const child = fork(new URL('./hanging-consumer.mjs', import.meta.url), [
    redis.socket,
    `{mpe:${siteGuid.slice(0, 8)}}`,
  ]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('message', resolve));
  return child;
}
