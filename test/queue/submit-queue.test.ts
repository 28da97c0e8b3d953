import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isMpeError } from '../../src/ops/errors.js';
import { newGuid } from '../../src/protocol/guid.js';
import { jobIdOf, messageJobId, SubmitQueue } from '../../src/queue/index.js';
import { leastOf, tookMs } from '../support/held.js';
import { TestRedis } from '../support/redis.js';
import { eventually, openQueue, silent, someJob } from './support.js';

describe('adding to the queue', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  test('a job is counted, found by its id, and added twice is one job', async () => {
    const queue = openQueue(redis, newGuid());
    const job = someJob();
    await eventually(() => queue.add(job));
    await queue.add(job);
    await queue.add({ ...job, sealed: 'another.token.of.the.same' });
    expect(await queue.depth()).toMatchObject({ waiting: 1, active: 0, delayed: 0, failed: 0 });
    expect(await queue.state(jobIdOf(job))).toBe('present');
    expect(await queue.state(messageJobId(job.clientId, newGuid()))).toBe('absent');
  });

  test('job ids fit the grammar of the queue whatever the ids are', () => {
    const id = messageJobId(newGuid(), newGuid());
    expect(id).toMatch(/^m-[0-9a-f]{64}$/);
  });

  test('the high-water mark refuses the next job and takes again when it is drained', async () => {
    const siteGuid = newGuid();
    const queue = openQueue(redis, siteGuid, 3);
    await eventually(() => queue.admit());
    for (let i = 0; i < 3; i += 1) await queue.add(someJob());
    await expect(queue.add(someJob())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect((await queue.depth()).waiting).toBe(3);
    const raw = redis.connect();
    await raw.del(`{mpe:${siteGuid.slice(0, 8)}}:messages:wait`);
    raw.disconnect();
    await eventually(() => queue.add(someJob()));
  });

  test('two sites in one Redis do not see each other', async () => {
    const one = openQueue(redis, newGuid());
    const other = openQueue(redis, newGuid());
    await eventually(() => one.add(someJob()));
    expect((await eventually(() => other.depth())).waiting).toBe(0);
  });

  test('the oldest waiting job has an age', async () => {
    const queue = openQueue(redis, newGuid());
    expect((await eventually(() => queue.depth())).oldestWaitingMs).toBe(0);
    await eventually(() => queue.add(someJob()));
    await eventually(async () => expect((await queue.depth()).oldestWaitingMs).toBeGreaterThan(0));
  });
});

/** The bound is 1.5 seconds, that of a gateway's answer two; with threefold slack. */
const WITHIN_MS = 6000;

describe('while Redis is away', () => {
  test('adds fail within the bound, and work again by themselves when Redis is back', async () => {
    const redis = await TestRedis.start();
    try {
      const queue = openQueue(redis, newGuid());
      const kept = someJob();
      await eventually(() => queue.add(kept));
      const outage = async (): Promise<number> => {
        await redis.kill();
        const took = await tookMs(() =>
          expect(queue.add(someJob())).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE', retryable: true }),
        );
        expect(await queue.writable()).toBe(false);
        await redis.start();
        await eventually(() => queue.add(someJob()));
        return took;
      };
      expect(await leastOf(outage, WITHIN_MS)).toBeLessThan(WITHIN_MS);
      // What was answered before kill -9 is there after the restart.
      expect(await queue.state(jobIdOf(kept))).toBe('present');
      expect(await queue.writable()).toBe(true);
    } finally {
      await redis.stop();
    }
  });

  test('a Redis that hangs costs one bound, after which adds are refused at once', async () => {
    const redis = await TestRedis.start();
    try {
      const queue = openQueue(redis, newGuid());
      await eventually(() => queue.add(someJob()));
      const outage = async (): Promise<number> => {
        redis.pause();
        const took = await tookMs(async () => {
          const results = await Promise.allSettled(Array.from({ length: 50 }, () => queue.add(someJob())));
          expect(results.every((result) => result.status === 'rejected')).toBe(true);
        });
        expect(() => queue.admit()).toThrow(expect.objectContaining({ code: 'QUEUE_UNAVAILABLE' }));
        redis.resume();
        await eventually(() => queue.add(someJob()));
        return took;
      };
      // One after the other it would be 75 seconds.
      expect(await leastOf(outage, WITHIN_MS)).toBeLessThan(WITHIN_MS);
    } finally {
      redis.resume();
      await redis.stop();
    }
  });

  test('Redis may be started after the producer', async () => {
    const redis = new TestRedis();
    const queue = SubmitQueue.open({ redisUrl: redis.url, siteGuid: newGuid(), highWater: 10, log: silent });
    try {
      await expect(queue.add(someJob())).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
      await redis.start();
      await eventually(() => queue.add(someJob()));
    } finally {
      await queue.close();
      await redis.stop();
    }
  });
});

describe('a full Redis', () => {
  test('is refused before it is full, and nothing that was refused is there', async () => {
    // Without a file: the speed of a disk is no part of this.
    const redis = await TestRedis.start(['--maxmemory', '16mb', '--appendonly', 'no']);
    try {
      const queue = openQueue(redis, newGuid(), 1_000_000);
      await eventually(() => queue.admit());
      const sealed = 'x'.repeat(50_000);
      const taken: string[] = [];
      const refused: string[] = [];
      for (let i = 0; i < 400; i += 1) {
        const job = someJob({ sealed });
        try {
          await queue.add(job);
          taken.push(jobIdOf(job));
        } catch (error) {
          // What was not answered in time may have been added all the same.
          if (isMpeError(error, 'QUEUE_UNAVAILABLE')) continue;
          expect(error).toMatchObject({ code: 'QUEUE_FULL' });
          refused.push(jobIdOf(job));
        }
      }
      expect(taken.length).toBeGreaterThan(10);
      expect(refused.length).toBeGreaterThan(10);
      for (const id of taken) expect(await queue.state(id)).toBe('present');
      for (const id of refused) expect(await queue.state(id)).toBe('absent');
      expect(await queue.writable()).toBe(true);
    } finally {
      await redis.stop();
    }
  });

  test('that refuses writes makes adds fail and is not writable', async () => {
    const redis = await TestRedis.start();
    const raw = redis.connect();
    try {
      const queue = openQueue(redis, newGuid());
      await eventually(() => queue.add(someJob()));
      await raw.config('SET', 'maxmemory', '1');
      const job = someJob();
      await expect(queue.add(job)).rejects.toMatchObject({ retryable: true });
      expect(await queue.writable()).toBe(false);
      expect(await queue.state(jobIdOf(job))).toBe('absent');
      await raw.config('SET', 'maxmemory', '512mb');
      await eventually(() => queue.add(job));
      await raw.config('SET', 'min-replicas-to-write', '1');
      const other = someJob();
      await expect(queue.add(other)).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
      expect(await queue.state(jobIdOf(other))).toBe('absent');
    } finally {
      raw.disconnect();
      await redis.stop();
    }
  });
});
