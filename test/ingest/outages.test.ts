import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { eventually } from '../queue/support.js';
import { leastOf, tookMs } from '../support/held.js';
import { TestRedis } from '../support/redis.js';
import { dispositionOf, PROTOBUF, TestGateway, workerReply, type Answer } from './support.js';

async function running(
  options: Parameters<typeof TestGateway.start>[1] & { readonly redisExtra?: string[] } = {},
): Promise<{ redis: TestRedis; site: TestGateway }> {
  const redis = await TestRedis.start(options.redisExtra);
  const site = await TestGateway.start(redis, options);
  onTestFinished(async () => {
    redis.resume();
    await site.close();
    await redis.stop();
  });
  return { redis, site };
}

function expectUnavailable(answer: Answer, code = 'QUEUE_UNAVAILABLE'): void {
  expect([answer.status, answer.problem]).toEqual([503, code]);
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
}

/** Within two seconds a gateway answers, whatever Redis does; with threefold slack. */
const IN_TIME_MS = 6000;

describe('while Redis is away', () => {
  test.each(['killed', 'hanging'])(
    '%s: 503 in time, red readiness, and well again by itself',
    async (how) => {
      const { redis, site } = await running();
      const client = await site.register();
      const post = async () => site.post(client, await site.envelope(client.clientId));
      expect((await post()).status).toBe(202);
      await eventually(async () => expect((await site.ops('/readyz')).status).toBe(200));
      // Each time an outage of its own: only the first question of one may have to wait for its bound.
      const outage = async (): Promise<number> => {
        if (how === 'killed') await redis.kill();
        else redis.pause();
        const longest = Math.max(
          await tookMs(async () => expectUnavailable(await post())),
          await tookMs(async () => expectUnavailable(await post())),
          await tookMs(async () =>
            expectUnavailable(await site.call('GET', '/v1/token/nonce', { accept: PROTOBUF })),
          ),
        );
        expect((await site.ops('/readyz')).status).toBe(503);
        // Liveness has no dependency, and the site document needs no Redis.
        expect((await site.ops('/healthz')).status).toBe(200);
        expect((await site.call('GET', '/v1/site')).status).toBe(200);
        if (how === 'killed') await redis.start();
        else redis.resume();
        await eventually(async () => expect((await post()).status).toBe(202));
        await eventually(async () => expect((await site.ops('/readyz')).status).toBe(200));
        return longest;
      };
      expect(await leastOf(outage, IN_TIME_MS)).toBeLessThan(IN_TIME_MS);
      expect(site.events()).toEqual(expect.arrayContaining(['queue.unavailable', 'queue.available']));
    },
  );

  test('what was answered QUEUED is in Redis after kill -9 under load; the rest was refused', async () => {
    const { redis, site } = await running();
    const client = await site.register();
    const queued: string[] = [];
    const others = new Set<number>();
    let killed = false;
    const send = async (): Promise<void> => {
      while (!killed || others.size === 0) {
        const messageId = newGuid();
        const answer = await site.post(client, await site.envelope(client.clientId, messageId));
        if (answer.status === 202) queued.push(messageId);
        else others.add(answer.status);
      }
    };
    const senders = Array.from({ length: 8 }, send);
    await eventually(() => expect(queued.length).toBeGreaterThan(50));
    await redis.kill();
    killed = true;
    await Promise.all(senders);
    expect([...others]).toEqual([503]);
    await redis.start();
    const missing: string[] = [];
    for (const messageId of queued) {
      const answer = await eventually(async () => {
        const got = await site.call('GET', `/v1/messages/${messageId}`, {
          authorization: client.authorization,
        });
        if (got.status === 503) throw new Error('Redis is not back yet');
        return got;
      });
      if (answer.status !== 202) missing.push(messageId);
    }
    expect(missing).toEqual([]);
  });

  test('a gateway that starts first is not ready, refuses, and takes messages once Redis is there', async () => {
    const redis = new TestRedis();
    const site = await TestGateway.start(redis);
    onTestFinished(async () => {
      await site.close();
      await redis.stop();
    });
    const client = await site.register();
    expect((await site.ops('/readyz')).status).toBe(503);
    expectUnavailable(await site.post(client, await site.envelope(client.clientId)));
    await redis.start();
    await eventually(async () =>
      expect((await site.post(client, await site.envelope(client.clientId))).status).toBe(202),
    );
    await eventually(async () => expect((await site.ops('/readyz')).status).toBe(200));
  });

  test('a wait that began before goes on, and the message is not lost', async () => {
    const { redis, site } = await running();
    const client = await site.register();
    const messageId = newGuid();
    const posted = site.post(client, await site.envelope(client.clientId, messageId), { prefer: 'wait=30' });
    const get = () => site.call('GET', `/v1/messages/${messageId}`, { authorization: client.authorization });
    await eventually(async () => expect((await get()).status).toBe(202));
    await redis.kill();
    await redis.start();
    site.work(redis, (job) => workerReply(job));
    expect(dispositionOf(await posted)).toBe('COMMITTED');
  });
});

describe('a Redis that could lose messages', () => {
  test('stops the start, naming each setting', async () => {
    const redis = await TestRedis.start(['--appendfsync', 'everysec']);
    onTestFinished(() => redis.stop());
    await expect(TestGateway.start(redis)).rejects.toMatchObject({
      code: 'REDIS_UNSAFE',
      message: expect.stringContaining('appendfsync is everysec'),
    });
  });

  test('is used with a warning where the operator says so', async () => {
    const { site } = await running({
      redisExtra: ['--appendonly', 'no'],
      env: { MPE_REDIS_ALLOW_UNSAFE: '1' },
    });
    const client = await site.register();
    expect((await site.post(client, await site.envelope(client.clientId))).status).toBe(202);
    expect(site.events()).toContain('redis.unsafe');
  });

  test('that comes up after the gateway gets nothing', async () => {
    const redis = new TestRedis(['--maxmemory-policy', 'allkeys-lru']);
    const site = await TestGateway.start(redis);
    onTestFinished(async () => {
      await site.close();
      await redis.stop();
    });
    await redis.start();
    await eventually(() => expect(site.events()).toContain('redis.unsafe'));
    const client = await site.register();
    expectUnavailable(await site.post(client, await site.envelope(client.clientId)));
    const ready = await site.ops('/readyz');
    expect([ready.status, ready.body.toString()]).toEqual([503, expect.stringContaining('allkeys-lru')]);
  });
});

describe('bounds', () => {
  test('a full queue is 503 with a longer Retry-After, before the body is read', async () => {
    const { site } = await running({ env: { MPE_QUEUE_HIGH_WATER: '3' } });
    const client = await site.register();
    for (let i = 0; i < 3; i += 1) {
      expect((await site.post(client, await site.envelope(client.clientId))).status).toBe(202);
    }
    const answer = await site.post(client, await site.envelope(client.clientId));
    expectUnavailable(answer, 'QUEUE_FULL');
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(10);
  });

  test('a full memory is 503; what was acknowledged is there, what was refused is not', async () => {
    const { site } = await running({ redisExtra: ['--maxmemory', '8mb'] });
    const client = await site.register();
    const sealed = (await site.envelope(client.clientId)).toString('latin1');
    expect(sealed.length).toBeGreaterThan(0);
    const { seal } = await import('../../src/jose/index.js');
    const large = await seal(Buffer.alloc(60_000), site.sealingKey, 'mpe-env');
    const results: [string, string][] = [];
    for (let i = 0; i < 150; i += 1) {
      const id = newGuid();
      const { status, problem } = await site.post(client, await site.envelope(client.clientId, id, large));
      results.push([id, `${status} ${problem}`.trim()]);
    }
    // What a slow disk let run out may have been added all the same, and is not judged.
    const judged = results.filter(([, said]) => said !== '503 QUEUE_UNAVAILABLE');
    expect(new Set(judged.map(([, said]) => said))).toEqual(new Set(['202', '503 QUEUE_FULL']));
    for (const [id, said] of judged) {
      const asked = { authorization: client.authorization };
      const answer = await eventually(async () => {
        const got = await site.call('GET', `/v1/messages/${id}`, asked);
        if (got.status === 503) throw new Error('Redis is slow');
        return got;
      });
      expect(answer.status).toBe(said === '202' ? 202 : 404);
    }
  });

  test('beyond the bound of requests in hand there is 503 at once', async () => {
    const { site } = await running({ env: { MPE_GATEWAY_MAX_IN_FLIGHT: '2' } });
    const client = await site.register();
    const envelopes = [await site.envelope(client.clientId), await site.envelope(client.clientId)];
    const waiting = envelopes.map((body) => site.post(client, body, { prefer: 'wait=10' }));
    // Nothing else is asked before both are in hand: it would take the place of one of them.
    await eventually(async () =>
      expect((await site.ops('/metrics')).body.toString()).toMatch(/^mpe_ingest_in_flight\S* 2$/m),
    );
    await eventually(async () => expect((await site.call('GET', '/v1/site')).status).toBe(503));
    expectUnavailable(await site.call('GET', '/v1/site'), 'TOO_BUSY');
    expect((await Promise.all(waiting)).map((answer) => answer.status)).toEqual([202, 202]);
    await eventually(async () => expect((await site.call('GET', '/v1/site')).status).toBe(200));
  });

  /** Writes a text on a connection of its own; all that comes back until it is closed. */
  const raw = (site: TestGateway, text: string): Promise<string> =>
    new Promise((resolve) => {
      const { ca } = site.keyFolder.tls();
      const socket = connectTls({ host: '127.0.0.1', port: site.gateway.port, ca }, () => socket.write(text));
      let got = '';
      socket.on('data', (part: Buffer) => (got += part.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(got));
    });
  const headOf = (authorization: string): string =>
    `POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: ${PROTOBUF}\r\nauthorization: ${authorization}\r\n`;

  test('slow headers and a slow body do not hold a connection', async () => {
    const { site } = await running({ bounds: { headersMs: 400, requestMs: 800 } });
    const client = await site.register();
    const [slowHead, slowBody] = await Promise.all([
      raw(site, 'GET /v1/site HTTP/1.1\r\nhost'),
      raw(site, `${headOf(client.authorization)}content-length: 100\r\n\r\nabc`),
    ]);
    expect(slowHead).toMatch(/^HTTP\/1.1 408 /);
    expect(slowBody).toMatch(/^HTTP\/1.1 408 |^$/);
    // On a busy machine a good request may be too slow for such bounds as well.
    await eventually(async () => expect((await site.call('GET', '/v1/site')).status).toBe(200));
  });

  test('large headers and what is no HTTP do not hold a connection', async () => {
    const { site } = await running();
    const client = await site.register();
    const [large, junk] = await Promise.all([
      raw(site, `${headOf(client.authorization)}x-large: ${'x'.repeat(20_000)}\r\n\r\n`),
      raw(site, 'NONSENSE\r\n\r\n'),
    ]);
    expect(large).toMatch(/^HTTP\/1.1 431 [^]*HEADERS_TOO_LARGE/);
    expect(junk).toMatch(/^HTTP\/1.1 400 [^]*REQUEST_MALFORMED/);
    expect((await site.call('GET', '/v1/site')).status).toBe(200);
  });

  test('plain HTTP is not served on the TLS port', async () => {
    const { site } = await running();
    const got = await new Promise<string>((resolve) => {
      const socket = connectTcp(site.gateway.port, '127.0.0.1', () =>
        socket.write('GET /v1/site HTTP/1.1\r\nhost: x\r\n\r\n'),
      );
      let text = '';
      socket.on('data', (part: Buffer) => (text += part.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
    expect(got).not.toContain('200');
  });
});

describe('going down', () => {
  test('waits end with QUEUED, then nothing more is taken, and readiness is red', async () => {
    const { site } = await running();
    const client = await site.register();
    const messageId = newGuid();
    const posted = site.post(client, await site.envelope(client.clientId, messageId), { prefer: 'wait=30' });
    const get = () => site.call('GET', `/v1/messages/${messageId}`, { authorization: client.authorization });
    await eventually(async () => expect((await get()).status).toBe(202));
    const closing = site.gateway.close();
    expect(dispositionOf(await posted)).toBe('QUEUED');
    await closing;
    await expect(get()).rejects.toThrow();
  });
});

describe('the ops port', () => {
  test('serves metrics with what was answered, and nothing else', async () => {
    const { site } = await running();
    const client = await site.register();
    await site.post(client, await site.envelope(client.clientId));
    await eventually(async () => {
      const text = (await site.ops('/metrics')).body.toString();
      expect(text).toMatch(/mpe_ingest_requests_total\{route="\/v1\/messages",code="202"\} 1/);
      expect(text).toMatch(/mpe_queue_jobs\{state="waiting"\} 1/);
      expect(text).not.toContain(client.clientId);
    });
    expect((await site.ops('/')).status).toBe(404);
    expect((await site.call('GET', '/metrics')).status).toBe(404);
  });
});
