import { afterAll, beforeAll, describe, expect, test, onTestFinished } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { messageJobId } from '../../src/queue/index.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { startWorker } from '../../src/workers/runtime.js';
import { TestRedis } from '../support/redis.js';
import { configOf, Gateway, until, worker } from './runtime-support.js';
import {
  checkIn,
  escrow,
  password,
  statementOf,
  TestSite,
  volume,
  type Sent,
  type TestClient,
} from './support.js';

let site: TestSite;
let redis: TestRedis;
let client: TestClient;
beforeAll(async () => {
  [site, redis] = await Promise.all([TestSite.create(), TestRedis.start()]);
  client = await site.client();
});
afterAll(() => redis.stop());

const someKey = (n: number): Promise<Sent> => client.message(escrow(volume([{ password: password(n) }])));

/** The store with `apply` held back until it is let go. */
function held(store: SiteStore): { store: SiteStore; groups: number[]; letGo: () => void } {
  const groups: number[] = [];
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const proxy = new Proxy(store, {
    get(target, name) {
      if (name === 'apply')
        return async (plans: Parameters<SiteStore['apply']>[0]) => {
          groups.push(plans.length);
          await gate;
          return target.apply(plans);
        };
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { store: proxy, groups, letGo };
}

test('jobs are answered over the reply channel, and leave the queue', async () => {
  const running = await worker(site, redis);
  const gateway = new Gateway(site, redis);
  const messages = await Promise.all([someKey(1), someKey(2), client.message(checkIn())]);
  const replies = await Promise.all(await gateway.send(...messages));
  for (const [i, reply] of replies.entries())
    expect(await statementOf(messages[i]!, reply)).toMatchObject({ disposition: 'COMMITTED' });
  await until(() => running.active() === 0);
  await gateway.empty();
  for (const { job } of messages)
    expect(await gateway.queue.state(messageJobId(job.clientId, job.messageId))).toBe('absent');
});

test('what becomes ready while a transaction runs is committed in one', async () => {
  const { store, groups, letGo } = held(site.store);
  const pipeline = await site.pipeline({ store });
  const messages = await Promise.all(Array.from({ length: 10 }, (_, i) => someKey(100 + i)));
  const first = pipeline.processMessage(messages[0]!.job, { alone: false });
  await until(() => groups.length === 1);
  const rest = messages.slice(1).map(({ job }) => pipeline.processMessage(job, { alone: false }));
  const validated = async (): Promise<number> => {
    const { values } = await pipeline.metrics.stageDuration.get();
    return values.find((v) => v.metricName?.endsWith('_count') && v.labels.stage === 'validate')?.value ?? 0;
  };
  await until(async () => (await validated()) === 10);
  letGo();
  expect((await Promise.all([first, ...rest])).map(({ keysWritten }) => keysWritten)).toEqual(
    Array(10).fill(1),
  );
  expect(groups).toEqual([1, 9]);
});

test('the same message at two workers at once takes effect once', async () => {
  const other = await openStore({ kind: 'sqlite', path: `${site.folder}/site.db` });
  const [a, b] = [await site.pipeline(), await site.pipeline({ store: other, by: 'test/2' })];
  for (let i = 0; i < 8; i += 1) {
    const { job } = await someKey(200 + i);
    const results = await Promise.all(
      [a, b].map((pipeline) => pipeline.processMessage(job, { alone: true })),
    );
    expect(results.map(({ reply }) => reply.disposition).sort()).toEqual(['ALREADY_COMMITTED', 'COMMITTED']);
    expect(results.reduce((sum, { keysWritten }) => sum + keysWritten, 0)).toBe(1);
  }
  await other.close();
});

describe('draining', () => {
  test('finishes what is in hand and leaves the rest in the queue', async () => {
    const { store, groups, letGo } = held(site.store);
    const running = await worker(site, redis, { store, concurrency: 4 });
    const gateway = new Gateway(site, redis);
    const messages = await Promise.all(Array.from({ length: 12 }, (_, i) => someKey(300 + i)));
    await gateway.add(...messages);
    await until(() => groups.length === 1 && running.active() === 4);
    const closed = running.close();
    expect(running.ready()).toBe(false);
    letGo();
    await closed;
    const outcomes = await Promise.all(
      messages.map(({ job }) => site.store.findOutcome(job.clientId, job.messageId)),
    );
    expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(4);
    expect(await gateway.queue.depth()).toMatchObject({ waiting: 8, active: 0, failed: 0 });

    await worker(site, redis);
    for (const { job } of messages)
      await until(
        async () => (await site.store.findOutcome(job.clientId, job.messageId))?.disposition === 'COMMITTED',
      );
    await gateway.empty();
  });

  test('by force leaves what is in hand at once, without a strike; it lands elsewhere', async () => {
    const { store, groups, letGo } = held(site.store);
    const running = await worker(site, redis, { store, concurrency: 4 });
    const gateway = new Gateway(site, redis);
    const message = await someKey(400);
    const [reply] = await gateway.send(message);
    await until(() => groups.length === 1);
    const drained = running.close();
    await running.close({ force: true });
    await drained;
    await worker(site, redis);
    expect((await reply)?.disposition).toBe('COMMITTED');
    letGo();
    await gateway.empty();
    const probe = redis.connect();
    expect(await probe.keys('*strikes*')).toEqual([]);
    probe.disconnect();
    expect(await site.store.findDeadLetter(message.job.clientId, message.job.messageId)).toBeNull();
  });
});

test('whoever lost the lock of a job acknowledges nothing, though its commit counts', async () => {
  const { store, groups, letGo } = held(site.store);
  await worker(site, redis, { store });
  const message = await someKey(450);
  const gateway = new Gateway(site, redis);
  const [reply] = await gateway.send(message);
  await until(() => groups.length === 1);
  const raw = redis.connect();
  const locks = await raw.keys('*:lock');
  expect(locks).toHaveLength(1);
  const told = site.lines.length;
  await raw.del(...locks);
  raw.disconnect();
  await until(() => site.lines.slice(told).some((line) => line['event'] === 'queue.lock_lost'));
  letGo();
  // The commit went through; the answer comes from the delivery that held a lock.
  expect((await reply)?.disposition).toBe('ALREADY_COMMITTED');
  await gateway.empty();
});

describe('starting', () => {
  test('is refused on a Redis that could lose messages, unless overridden', async () => {
    const unsafe = await TestRedis.start(['--appendfsync', 'no']);
    onTestFinished(() => unsafe.stop());
    // At the start, or as soon as Redis answers where it was slow to.
    const refused = new Promise((_, reject) => {
      worker(site, unsafe, { onFatal: reject }).catch(reject);
    });
    await expect(refused).rejects.toMatchObject({ code: 'REDIS_UNSAFE' });
    const config = configOf(site, unsafe, { MPE_REDIS_ALLOW_UNSAFE: '1' });
    const running = await worker(site, unsafe, { config });
    await until(() => running.ready());
    expect(site.lines.some((line) => line['event'] === 'redis.unsafe' && line['level'] === 'warn')).toBe(
      true,
    );
    await running.close();
  });

  test('waits for a Redis that is away, and then works', async () => {
    const late = new TestRedis();
    onTestFinished(() => late.stop());
    const running = await worker(site, late);
    expect(running.ready()).toBe(false);
    await late.start();
    const [reply] = await new Gateway(site, late).send(await someKey(500));
    // Where the reply found no connection yet, the job ran once more and says so.
    expect(['COMMITTED', 'ALREADY_COMMITTED']).toContain((await reply)?.disposition);
    await until(() => running.ready());
    await running.close();
  });

  test('is refused with a key folder of another site, on a store that is not durable, with test settings', async () => {
    const other = await TestSite.create();
    await expect(worker(site, redis, { keyFolder: other.keyFolder })).rejects.toMatchObject({
      code: 'SITE_MISMATCH',
    });

    const lying = new Proxy(site.store, {
      get: (target, name) => {
        if (name === 'durability')
          return () => Promise.resolve({ durable: false, detail: 'synchronous=OFF' });
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await expect(worker(site, redis, { store: lying })).rejects.toMatchObject({ code: 'STORE_NOT_DURABLE' });

    const real = await TestSite.create({ seed: (s) => ({ ...s, site: { ...s.site, testSite: false } }) });
    const poisoned = startWorker({
      config: configOf(real, redis, { MPE_TEST_POISON: '8637036e-b379-4798-bd9e-5a0b36296de3' }),
      store: real.store,
      keyFolder: real.keyFolder,
      log: real.log,
      clock: systemClock(),
      concurrency: 1,
    });
    await expect(poisoned).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

test('what the queue fails by itself becomes a dead letter and leaves Redis', async () => {
  const gateway = new Gateway(site, redis);
  const sent = await someKey(600);
  const id = messageJobId(sent.job.clientId, sent.job.messageId);
  await gateway.add(sent);
  // As BullMQ would leave it: the job is in `failed`, with a reason.
  const raw = redis.connect();
  const [wait] = await raw.keys('*:messages:wait');
  const base = wait!.slice(0, -'wait'.length);
  await raw.lrem(wait!, 0, id);
  await raw.hset(base + id, 'failedReason', 'job stalled more than allowable limit');
  await raw.zadd(`${base}failed`, Date.now(), id);
  await worker(site, redis);
  await until(async () => (await site.store.findDeadLetter(sent.job.clientId, sent.job.messageId)) !== null);
  expect(await site.store.findDeadLetter(sent.job.clientId, sent.job.messageId)).toMatchObject({
    cause: 'QUEUE_FAILED',
    sealed: sent.job.sealed,
  });
  await until(async () => (await raw.exists(base + id)) === 0);
  raw.disconnect();
});
