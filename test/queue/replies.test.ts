import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { connectRedis, messageJobId, NonceStore, ReplyBus, Strikes } from '../../src/queue/index.js';
import { TestRedis } from '../support/redis.js';
import { eventually, silent } from './support.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

function openBus(siteGuid: Guid, gatewayId: string | null, server = redis): ReplyBus {
  const bus = ReplyBus.open({ redisUrl: server.url, siteGuid, gatewayId, log: silent });
  onTestFinished(() => bus.close());
  return bus;
}
const someId = (): string => messageJobId(newGuid(), newGuid());
/** A bound for what never comes, not a measure. */
const LONG = 90_000;

describe('the reply bus', () => {
  test('a reply reaches the gateway that waits, byte for byte, and can be read for a while', async () => {
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1');
    const worker = openBus(siteGuid, null);
    const id = someId();
    const reply = Buffer.from([0, 1, 2, 255, 254, 13, 10]);
    const waiting = gateway.waitFor(id, LONG);
    await eventually(() => worker.publish(id, 'gw-1', reply));
    expect(await waiting).toEqual(reply);
    expect(await gateway.read(id)).toEqual(reply);
    const raw = redis.connect();
    const ttl = await raw.ttl(`{mpe:${siteGuid.slice(0, 8)}}:reply:${id}`);
    raw.disconnect();
    expect(ttl).toBeGreaterThan(500);
    expect(ttl).toBeLessThanOrEqual(600);
    expect(gateway.waiting()).toBe(0);
  });

  test('a reply that is there already is found, by any gateway', async () => {
    const siteGuid = newGuid();
    const worker = openBus(siteGuid, null);
    const id = someId();
    await eventually(() => worker.publish(id, 'gw-1', Buffer.from('early')));
    expect(await openBus(siteGuid, 'gw-2').waitFor(id, LONG)).toEqual(Buffer.from('early'));
  });

  test('a reply of an earlier delivery is no answer; the next one is', async () => {
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1');
    const worker = openBus(siteGuid, null);
    const id = someId();
    await eventually(() => worker.publish(id, 'gw-1', Buffer.from('old')));
    const stale = await eventually(() => gateway.read(id));
    expect(await gateway.waitFor(id, 50, { stale })).toBeNull();
    const waiting = gateway.waitFor(id, LONG, { stale });
    await worker.publish(id, 'gw-1', Buffer.from('new'));
    expect(await waiting).toEqual(Buffer.from('new'));
  });

  test('the same bytes published again do answer a wait that began before', async () => {
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1');
    const worker = openBus(siteGuid, null);
    const id = someId();
    await eventually(() => worker.publish(id, 'gw-1', Buffer.from('same')));
    // A wait that was answered over the channel proves that the subscription stands.
    const stale = Buffer.from('same');
    const waiting = gateway.waitFor(id, LONG, { stale });
    await eventually(async () => {
      await worker.publish(id, 'gw-1', Buffer.from('same'));
      if (gateway.waiting() > 0) throw new Error('not delivered yet');
    });
    expect(await waiting).toEqual(stale);
  });

  test('no reply is missed between adding and waiting, however the two fall', async () => {
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1');
    const worker = openBus(siteGuid, null);
    await eventually(() => worker.publish(someId(), 'gw-1', Buffer.from('warm')));
    const answers = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const id = someId();
        const reply = Buffer.from(String(i));
        const published = i % 2 === 0 ? worker.publish(id, 'gw-1', reply) : null;
        const waiting = gateway.waitFor(id, LONG);
        await (published ?? worker.publish(id, 'gw-1', reply));
        return (await waiting)?.toString() === String(i);
      }),
    );
    expect(answers.every(Boolean)).toBe(true);
  });

  test('two who wait for one job both get its reply', async () => {
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1');
    const id = someId();
    const both = [gateway.waitFor(id, LONG), gateway.waitFor(id, LONG)];
    const worker = openBus(siteGuid, null);
    await eventually(() => worker.publish(id, 'gw-1', Buffer.from('x')));
    expect(await Promise.all(both)).toEqual([Buffer.from('x'), Buffer.from('x')]);
  });

  test('a wait ends: by its time, by its signal, by closing', async () => {
    const bus = openBus(newGuid(), 'gw-1');
    expect(await bus.waitFor(someId(), 20)).toBeNull();
    const aborted = new AbortController();
    const given = bus.waitFor(someId(), LONG, { signal: aborted.signal });
    aborted.abort();
    expect(await given).toBeNull();
    expect(await bus.waitFor(someId(), LONG, { signal: aborted.signal })).toBeNull();
    const open = bus.waitFor(someId(), LONG);
    await bus.close();
    expect(await open).toBeNull();
    expect(bus.waiting()).toBe(0);
  });

  test('a reply stored while nobody could be told is found when reading works again', async () => {
    const own = await TestRedis.start();
    onTestFinished(() => own.stop());
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1', own);
    const id = someId();
    await eventually(() => gateway.read(id));
    const waiting = gateway.waitFor(id, LONG);
    // Stored without a word on the channel, as if that had been lost in the outage.
    const raw = own.connect();
    await raw.set(`{mpe:${siteGuid.slice(0, 8)}}:reply:${id}`, 'stored');
    raw.disconnect();
    await own.kill();
    await own.start();
    expect(await waiting).toEqual(Buffer.from('stored'));
  });

  test('a wait goes on through an outage of Redis, and reads what came in between', async () => {
    const own = await TestRedis.start();
    onTestFinished(() => own.stop());
    const siteGuid = newGuid();
    const gateway = openBus(siteGuid, 'gw-1', own);
    const id = someId();
    await eventually(() => gateway.read(id));
    const waiting = gateway.waitFor(id, LONG);
    await own.kill();
    await expect(gateway.read(id)).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    await own.start();
    const worker = openBus(siteGuid, null, own);
    await eventually(() => worker.publish(id, 'gw-1', Buffer.from('late')));
    expect(await waiting).toEqual(Buffer.from('late'));
  });
});

describe('nonces', () => {
  test('are good once, are not interchangeable between sites, and expire', async () => {
    const connection = connectRedis(redis.url, 'producer');
    onTestFinished(() => connection.disconnect());
    const siteGuid = newGuid();
    const nonces = new NonceStore(connection, siteGuid);
    const nonce = await eventually(() => nonces.issue());
    expect(nonce).toHaveLength(32);
    expect(await new NonceStore(connection, newGuid()).take(nonce)).toBe(false);
    const key = `{mpe:${siteGuid.slice(0, 8)}}:nonce:${nonce.toString('base64url')}`;
    expect(await connection.ttl(key)).toBeGreaterThan(0);
    expect(await connection.ttl(key)).toBeLessThanOrEqual(60);
    expect(await nonces.take(nonce)).toBe(true);
    expect(await nonces.take(nonce)).toBe(false);
    const expired = await nonces.issue();
    await connection.pexpire(key.replace(nonce.toString('base64url'), expired.toString('base64url')), 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await nonces.take(expired)).toBe(false);
    expect(await nonces.take(Buffer.alloc(0))).toBe(false);
    expect(await nonces.take(Buffer.alloc(5000))).toBe(false);
  });
});

describe('strikes', () => {
  test('count, can be read and cleared, and do not stay for ever', async () => {
    const connection = connectRedis(redis.url, 'producer');
    onTestFinished(() => connection.disconnect());
    const siteGuid = newGuid();
    const strikes = new Strikes(connection, siteGuid);
    const id = someId();
    expect(await eventually(() => strikes.get(id))).toBe(0);
    expect(await strikes.add(id)).toBe(1);
    expect(await strikes.add(id)).toBe(2);
    expect(await strikes.get(id)).toBe(2);
    expect(await strikes.get(someId())).toBe(0);
    expect(await connection.ttl(`{mpe:${siteGuid.slice(0, 8)}}:strikes:${id}`)).toBeGreaterThan(0);
    await strikes.clear(id);
    expect(await strikes.get(id)).toBe(0);
  });
});
