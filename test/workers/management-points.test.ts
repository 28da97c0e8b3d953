import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { managementPointOf } from '../../src/ingest/management-point.js';
import { connectRedis, Presence, readPresent } from '../../src/queue/index.js';
import { TestRedis } from '../support/redis.js';
import { worker } from './runtime-support.js';
import { TestSite } from './support.js';

const gateway = (settings: Record<string, string>) =>
  loadConfig({ MPE_GATEWAY_ID: 'mp1', ...settings }).gateway;

describe('a gateway as a management point', () => {
  test.each([
    [{}, 'ENHANCED_HTTP', 'https'],
    [{ MPE_GATEWAY_TLS: 'off' }, 'HTTP', 'http'],
    [{ MPE_GATEWAY_TLS: 'off', MPE_GATEWAY_PROXIES: '10.0.0.0/8' }, 'ENHANCED_HTTP', 'http'],
    [
      { MPE_GATEWAY_AUTH: 'site-token,client-certificate', MPE_GATEWAY_CLIENT_CA: '/ca.pem' },
      'HTTPS',
      'https',
    ],
  ] as const)('%j is %s', (settings, channel, scheme) => {
    expect(managementPointOf(gateway(settings), 8443)).toEqual({
      ...{ id: 'mp1', channel, address: `${scheme}://${hostname()}:8443` },
    });
  });
});

describe('what gateways say of themselves', () => {
  let site: TestSite;
  let redis: TestRedis;
  beforeAll(async () => {
    [site, redis] = await Promise.all([TestSite.create(), TestRedis.start()]);
  });
  afterAll(async () => {
    await redis.stop();
    await site.store.close();
  });

  test('is noted by a worker, once for two processes of one name', async () => {
    const connection = connectRedis(redis.url, 'producer');
    await vi.waitFor(() => expect(connection.status).toBe('ready'), { timeout: 90_000 });
    const point = { id: 'mp1', channel: 'HTTPS', address: 'https://mp1:8443' } as const;
    const present = ['a', 'b'].map(
      (name) =>
        new Presence(connection, site.siteGuid, {
          ...{ role: 'gateway', name, startedAtMs: Date.now(), concurrency: 1, managementPoint: point },
        }),
    );
    await vi.waitFor(async () => expect(await readPresent(connection, site.siteGuid)).toHaveLength(2), {
      timeout: 90_000,
    });
    await worker(site, redis);
    await vi.waitFor(async () => expect(await site.store.policy.managementPoints()).toMatchObject([point]), {
      timeout: 150_000,
      interval: 500,
    });
    for (const one of present) await one.close();
    connection.disconnect();
  });
});
