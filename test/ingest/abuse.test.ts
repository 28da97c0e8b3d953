import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { networkOf, plainAddress } from '../../src/ops/peer.js';
import { newGuid } from '../../src/protocol/guid.js';
import { connectRedis, RateLimits } from '../../src/queue/index.js';
import { eventually, silent } from '../queue/support.js';
import { TestRedis } from '../support/redis.js';
import { exchange, PROTOBUF, TestGateway, type Answer } from './support.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

const start = async (
  ...options: Parameters<typeof TestGateway.start> extends [unknown, ...infer R] ? R : never
) => {
  const site = await TestGateway.start(redis, ...options);
  onTestFinished(() => site.close());
  return site;
};

/** A request from one of the addresses of this machine. */
function from(
  site: TestGateway,
  localAddress: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Uint8Array,
): Promise<Answer> {
  return exchange(
    httpsRequest({
      host: '127.0.0.1',
      port: site.gateway.port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      ca: site.keyFolder.tls().ca,
      localAddress,
      headers: {
        ...(body === undefined ? {} : { 'content-length': body.length, 'content-type': PROTOBUF }),
        ...headers,
      },
    }),
    body,
  );
}

describe('rate limits in Redis', () => {
  /** With a bound that no busy machine reaches, unless one is given; on a connection that stands. */
  const open = async (boundMs = 60_000): Promise<RateLimits> => {
    const connection = connectRedis(redis.url, 'producer');
    onTestFinished(() => connection.disconnect());
    await eventually(() => expect(connection.status).toBe('ready'));
    return new RateLimits({ redis: connection, siteGuid: newGuid(), log: silent, boundMs });
  };

  test('a burst passes; all keys are charged or none', async () => {
    const limits = await open();
    // Nothing comes back of either while the test runs.
    const slow = { name: 'slow', limit: { perSecond: 0.001, burst: 5 } };
    const wide = { name: 'wide', limit: { perSecond: 0.001, burst: 8 } };
    const verdicts = [];
    for (let i = 0; i < 7; i += 1) verdicts.push(await limits.take([slow, wide]));
    expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false, false]);
    expect(verdicts[5]).toMatchObject({ name: 'slow' });
    // The refusals did not charge the other key.
    const rest = [];
    for (let i = 0; i < 4; i += 1) rest.push((await limits.take([wide])).allowed);
    expect(rest).toEqual([true, true, true, false]);
  });

  test('beyond the burst goes the rate: who is refused is told how long to wait, and passes then', async () => {
    const limits = await open();
    const key = { name: 'rate', limit: { perSecond: 2, burst: 5 } };
    let verdict = await limits.take([key]);
    while (verdict.allowed) verdict = await limits.take([key]);
    expect(verdict.retryAfterMs).toBeGreaterThan(0);
    expect(verdict.retryAfterMs).toBeLessThanOrEqual(500);
    await sleep(verdict.retryAfterMs + 20);
    expect((await limits.take([key])).allowed).toBe(true);
  });

  test('keys go by themselves', async () => {
    const limits = await open();
    await limits.take([
      { name: 'stays', limit: { perSecond: 0.01, burst: 5 } },
      { name: 'gone', limit: { perSecond: 10, burst: 5 } },
    ]);
    const raw = redis.connect();
    onTestFinished(() => raw.disconnect());
    // A hundred seconds for what was taken, and no longer.
    const [key] = await raw.keys('*:limit:stays');
    const left = await raw.pttl(key!);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(100_100);
    await eventually(async () => expect(await raw.keys('*:limit:gone')).toEqual([]));
  });

  test('a Redis that hangs costs one bound, then nobody waits; it holds again afterwards', async () => {
    const limits = await open(1000);
    const key = { name: 'hang', limit: { perSecond: 0.001, burst: 1 } };
    const refused = (): Promise<void> =>
      eventually(async () => expect((await limits.take([key])).allowed).toBe(false));
    await refused();
    redis.pause();
    try {
      const other = { name: 'other', limit: { perSecond: 1, burst: 1 } };
      expect((await limits.take([other])).allowed).toBe(true);
      const again = performance.now();
      for (let i = 0; i < 100; i += 1) expect((await limits.take([other])).allowed).toBe(true);
      // If each of them waited for its bound it would be a hundred seconds.
      expect(performance.now() - again).toBeLessThan(30_000);
    } finally {
      redis.resume();
    }
    await refused();
  });
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
])('%s is limited as %s', (address, network) => {
  expect(networkOf(plainAddress(address))).toBe(network);
  expect(plainAddress('::ffff:192.0.2.1')).toBe('192.0.2.1');
});

describe('a gateway with small limits', () => {
  // Bursts, of which next to nothing comes back while a test runs. Limits give way for a second where Redis
  // is slow, which a busy machine may cause: so a refusal is waited for, and never one too many expected.
  const env = {
    MPE_GATEWAY_LIMIT_CLIENT: '0.001/s+5',
    MPE_GATEWAY_LIMIT_ADDRESS: '0.001/s+40',
    MPE_GATEWAY_PROXIES: '127.0.0.9',
  };
  /** Asks until it is refused; what was answered until then. */
  async function untilRefused(ask: (turn: number) => Promise<Answer>): Promise<[Answer[], Answer]> {
    const before: Answer[] = [];
    for (;;) {
      const answer = await ask(before.length);
      if (answer.status === 429) return [before, answer];
      before.push(answer);
    }
  }

  test('one client beyond its limit gets 429 with Retry-After, the others are served', async () => {
    const site = await start({ env });
    const [greedy, quiet] = [await site.register(), await site.register()];
    const [answers, refused] = await untilRefused(async () =>
      site.post(greedy, await site.envelope(greedy.clientId)),
    );
    expect(answers.length).toBeGreaterThanOrEqual(5);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect([refused.status, refused.problem]).toEqual([429, 'RATE_LIMITED']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect((await site.post(quiet, await site.envelope(quiet.clientId))).status).toBe(202);
  });

  test('an address beyond its limit is refused, bad identities cost it more, other addresses are served', async () => {
    const site = await start({ env });
    // Ten each: four use up the forty. Another address for each try.
    let turn = 0;
    await eventually(async () => {
      const address = `127.0.5.${(turn += 1)}`;
      const bad = (): Promise<Answer> =>
        from(site, address, `/v1/messages/${newGuid()}`, { authorization: 'Bearer junk' });
      for (let i = 0; i < 4; i += 1) expect((await bad()).status).toBe(401);
      expect((await from(site, address, '/v1/site')).status).toBe(429);
    });
    expect((await from(site, '127.0.0.6', '/v1/site')).status).toBe(200);
  });

  test('behind a listed proxy the forwarded address counts; a stranger’s header does not', async () => {
    const site = await start({ env });
    const ask = (address: string, header: string): Promise<Answer> =>
      from(site, address, '/v1/site', { 'x-forwarded-for': header });
    for (let i = 0; i < 50; i += 1) expect((await ask('127.0.0.9', `198.51.100.${i}`)).status).toBe(200);
    for (const refused of [
      await untilRefused((i) => ask('127.0.0.9', `10.0.0.${i % 250}, 203.0.113.7`)),
      await untilRefused((i) => ask('127.0.0.7', `198.51.100.${i % 250}`)),
    ])
      expect(refused[0].length).toBeGreaterThanOrEqual(40);
  });
});

/** 200 connections to a gateway that say nothing, or dribble their headers or a body, once they all stand. */
async function dribblers(
  site: TestGateway,
  authorization: string,
): Promise<{ readonly closed: () => number }> {
  const slow: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];
  onTestFinished(() => {
    timers.forEach(clearInterval);
    slow.forEach((socket) => socket.destroy());
  });
  let closed = 0;
  const own = (socket: Socket): void => {
    slow.push(socket);
    // Read, so that its end is seen.
    socket.resume();
    socket.on('error', () => undefined);
    socket.once('close', () => (closed += 1));
  };
  const dribble = (socket: Socket, first: string): void => {
    socket.write(first);
    timers.push(setInterval(() => socket.writable && socket.write('x'), 300));
  };
  const { port } = site.gateway;
  const address = { host: '127.0.0.1', port, localAddress: '127.0.0.3' };
  for (let i = 0; i < 200; i += 1) {
    const kind = i % 4;
    if (kind === 0) {
      // Says nothing, not even TLS.
      const socket = connectTcp(address);
      own(socket);
      await once(socket, 'connect');
    } else {
      const socket = connectTls({ socket: connectTcp(address), rejectUnauthorized: false });
      own(socket);
      await once(socket, 'secureConnect');
      if (kind === 1) dribble(socket, 'POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-a: ');
      if (kind === 2)
        dribble(
          socket,
          `POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-type: ${PROTOBUF}\r\nauthorization: ${authorization}\r\ncontent-length: 100000\r\n\r\n`,
        );
    }
  }
  return { closed: () => closed };
}

describe('200 connections that dribble', () => {
  const env = { MPE_GATEWAY_CONNECTIONS_PER_ADDRESS: '250' };

  test('hold nobody up: others are answered while they stand', async () => {
    const site = await start({ bounds: { headersMs: 120_000, requestMs: 120_000 }, env });
    const client = await site.register();
    const { closed } = await dribblers(site, client.authorization);
    for (let i = 0; i < 20; i += 1)
      expect((await site.post(client, await site.envelope(client.clientId))).status).toBe(202);
    // But for the 50 without TLS, whose time is short.
    expect(closed()).toBeLessThanOrEqual(50);
  });

  test('are cut by their time-outs, those that dribble headers or a body and those without TLS', async () => {
    const site = await start({ bounds: { headersMs: 2000, requestMs: 4000 }, env });
    const client = await site.register();
    const { closed } = await dribblers(site, client.authorization);
    // Those that say nothing after TLS have longer.
    await eventually(() => expect(closed()).toBeGreaterThanOrEqual(150));
  });
});

test('one address takes no more connections than its share', async () => {
  const site = await start({ env: { MPE_GATEWAY_CONNECTIONS_PER_ADDRESS: '20' } });
  const sockets = Array.from({ length: 60 }, () => {
    const socket = connectTcp({ host: '127.0.0.1', port: site.gateway.port, localAddress: '127.0.0.4' });
    socket.on('error', () => undefined);
    return socket;
  });
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await eventually(() => expect(sockets.filter((socket) => socket.destroyed)).toHaveLength(40));
  expect((await from(site, '127.0.0.5', '/v1/site')).status).toBe(200);
  sockets.forEach((socket) => socket.destroy());
  await eventually(async () => expect((await from(site, '127.0.0.4', '/v1/site')).status).toBe(200));
});

test(
  'a storm of 3000 registrations from one address is bounded; others register meanwhile',
  { timeout: 120_000 },
  async () => {
    const site = await start({ env: { MPE_GATEWAY_LIMIT_REGISTRATION: '1/s+200' } });
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 50,
      ca: site.keyFolder.tls().ca,
      localAddress: '127.0.0.8',
    });
    onTestFinished(() => agent.destroy());
    const to = { host: '127.0.0.1', port: site.gateway.port, agent };
    // All connections stand before: fifty TLS handshakes at once in this process hold its event loop so long
    // that the limits give way.
    await Promise.all(Array.from({ length: 50 }, () => exchange(httpsRequest({ ...to, path: '/v1/site' }))));
    const before = process.memoryUsage().rss;
    const body = Buffer.from('junk');
    const statuses = new Map<number, number>();
    let answered = 0;
    const storm = Array.from({ length: 3000 }, async () => {
      const { status } = await exchange(
        httpsRequest({
          ...{ ...to, path: '/v1/clients', method: 'POST' },
          headers: { 'content-type': PROTOBUF, 'content-length': body.length },
        }),
        body,
      );
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      answered += 1;
    });
    await eventually(() => expect(statuses.get(429) ?? 0).toBeGreaterThan(0));
    const others: number[] = [];
    const other = async (): Promise<void> => {
      others.push((await from(site, '127.0.0.6', '/v1/clients', {}, body)).status);
    };
    await other();
    expect(answered).toBeLessThan(3000);
    for (let i = 1; i < 10; i += 1) await other();
    await Promise.all(storm);
    // Junk that is let through is a malformed request: 400.
    expect(others).toEqual(Array(10).fill(400));
    expect([...statuses.keys()].sort()).toEqual([400, 429]);
    expect(statuses.get(400)).toBeGreaterThanOrEqual(200);
    expect(statuses.get(429)).toBeGreaterThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  },
);
