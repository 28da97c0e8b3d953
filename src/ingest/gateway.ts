import { randomBytes } from 'node:crypto';
import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.js';
import type { Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import { startOpsServer, type OpsServer } from '../ops/http.js';
import type { Logger } from '../ops/log.js';
import { Metrics } from '../ops/metrics.js';
import { NonceStore, Presence, RateLimits, ReplyBus, SubmitQueue } from '../queue/index.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { documentExpiry, tlsEnd } from '../secrets/expiring.js';
import { ExpiryWatch } from '../secrets/expiry-watch.js';
import { checkGatewayKeys } from '../secrets/site-check.js';
import type { SiteStore } from '../store/site-store.js';
import { openChannels } from './authenticators/open.js';
import type { GatewayContext } from './context.js';
import { Limits } from './limits.js';
import { managementPointOf } from './management-point.js';
import { Proxies } from '../ops/peer.js';
import { OwnKeys } from './own-keys.js';
import { TokenBucket } from './rate.js';
import { RedisSafety } from './redis-safety.js';
import { buildServer, secureOptions, type ServerBounds } from './server.js';
import { SiteView } from './site-view.js';

/** What a gateway is started with. */
export interface GatewayOptions {
  readonly config: Config;
  /** Read alone is enough. Owned by the caller. */
  readonly store: SiteStore;
  /** Opened for the role `gateway`: it holds no sealing key. */
  readonly keyFolder: KeyFolder;
  readonly log: Logger;
  readonly clock: Clock;
  /** For tests: shorter time-outs, smaller rates. */
  readonly bounds?: ServerBounds;
}

/** A running gateway. */
export interface Gateway {
  readonly port: number;
  /** Null where the ops server is off. */
  readonly opsPort: number | null;
  /**
   * Takes no more requests, ends waits with QUEUED, lets what is in hand finish within `boundMs`
   * (default 10 s), then cuts it.
   */
  close(boundMs?: number): Promise<void>;
}

/** How long a start waits for Redis before it goes on without. */
const REDIS_AT_START_MS = 2000;

/** Registrations and nonces that strangers may ask of one gateway: a second, and at once. */
const STRANGERS = { registrations: [200, 2000], nonces: [2000, 10_000] } as const;

/** Channels whose headers may be large. */
const LARGE: ReadonlySet<string> = new Set(['forwarded-certificate', 'entra']);

/**
 * Starts a gateway: checks the site, the key folder and Redis' settings, listens. A Redis that is
 * away does not stop it: it starts not ready and refuses with 503 until Redis is there.
 *
 * @throws MpeError SITE_MISMATCH | NOT_AUTHENTIC | KEY_FOLDER_INVALID | REDIS_UNSAFE | CONFIG_INVALID
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, store, keyFolder, log, clock } = options;
  const site = await store.readSite();
  const { jws } = await store.readSiteDocument();
  const document = await checkGatewayKeys(keyFolder, site, jws);
  if (config.test.clockOffsetMs !== 0 && site?.testSite !== true) {
    throw new MpeError('CONFIG_INVALID', 'MPE_TEST_CLOCK_OFFSET may be set on a test site alone');
  }
  const { siteGuid } = keyFolder;
  const { url: redisUrl } = config.redis;
  // Two processes with one configured id would take each other's replies.
  const gatewayId = `${config.gateway.id}.${randomBytes(6).toString('hex')}`;
  const queue = SubmitQueue.open({ redisUrl, siteGuid, highWater: config.queue.highWater, log });
  const replies = ReplyBus.open({ redisUrl, siteGuid, gatewayId, log });
  const view = new SiteView({ store, rootThumbprint: keyFolder.rootThumbprint, document, jws, log });
  const redisSafety = new RedisSafety(queue.redis, config.redis.allowUnsafe, log);
  const metrics = new Metrics('gateway');
  const ownKeys = new OwnKeys({ keyFolder, site: view, log, lookEveryMs: options.bounds?.lookEveryMs });
  const expiry = new ExpiryWatch({
    expiring: () => [
      documentExpiry(view.document),
      ...(config.gateway.tls ? [tlsEnd(ownKeys.tls.cert)] : []),
    ],
    ...{ clock, log, metrics },
  });
  const drain = new AbortController();
  const proxies = new Proxies(config.gateway.proxies);
  const release = async (): Promise<void> => {
    expiry.close();
    ownKeys.close();
    view.close();
    redisSafety.close();
    await replies.close();
    await queue.close();
    metrics.close();
  };
  const channels = await openChannels({
    channels: config.gateway.channels,
    ...{ siteGuid, site: view, proxies, clock, log },
    lookEveryMs: options.bounds?.lookEveryMs,
  }).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  const context: GatewayContext = {
    siteGuid,
    gatewayId,
    store,
    queue,
    replies,
    nonces: new NonceStore(queue.redis, siteGuid),
    site: view,
    redisSafety,
    authenticators: channels.authenticators,
    proxies,
    limits: new Limits(new RateLimits({ redis: queue.redis, siteGuid, log }), config.gateway.limits, proxies),
    ownKeys,
    clock,
    log,
    metrics,
    maxInFlight: config.gateway.maxInFlight,
    drain: drain.signal,
    strangers: {
      registrations: new TokenBucket(...(options.bounds?.registrations ?? STRANGERS.registrations)),
      nonces: new TokenBucket(...STRANGERS.nonces),
    },
  };
  let server: FastifyInstance | null = null;
  let ops: OpsServer | null = null;
  try {
    if (!(await queue.ready(REDIS_AT_START_MS))) {
      log.warn({ event: 'gateway.redis_away' }, 'Redis is away: starting, not ready, and trying again');
    }
    await redisSafety.start();
    server = buildServer(context, {
      tls: config.gateway.tls ? ownKeys.tls : null,
      clientCas: channels.clientCas,
      maxConnections: config.gateway.maxConnections,
      maxConnectionsPerAddress: config.gateway.maxConnectionsPerAddress,
      largeHeaders: config.gateway.channels.methods.some((method) => LARGE.has(method)),
      bounds: options.bounds,
    });
    const https = server.server;
    if (https instanceof HttpsServer)
      ownKeys.onTls((tls) => https.setSecureContext(secureOptions(tls, channels.clientCas)));
    await server.listen({ host: config.gateway.listen.host, port: config.gateway.listen.port });
    ops = await startOps(config, context);
  } catch (error) {
    await server?.close();
    channels.close();
    await release();
    throw error;
  }
  const running = { server, ops };
  const { port } = running.server.server.address() as AddressInfo;
  log.info(
    {
      event: 'gateway.listening',
      port,
      opsPort: ops?.port ?? null,
      tls: config.gateway.tls,
      auth: config.gateway.channels.methods,
      gatewayId,
      siteGuid,
    },
    'listening',
  );
  // A gateway writes nothing to the database: workers note what it says of itself.
  const presence = new Presence(queue.redis, siteGuid, {
    role: 'gateway',
    name: gatewayId,
    startedAtMs: Date.now(),
    concurrency: config.gateway.maxInFlight,
    managementPoint: managementPointOf(config.gateway, port),
  });
  if (!config.gateway.tls) {
    log.warn({ event: 'gateway.plain_http' }, 'TLS is off: only behind a proxy that ends TLS');
  }
  let closing: Promise<void> | null = null;
  const close = async (boundMs: number): Promise<void> => {
    log.info({ event: 'gateway.draining' }, 'draining');
    drain.abort();
    const cut = setTimeout(() => running.server.server.closeAllConnections(), boundMs);
    await running.server.close();
    clearTimeout(cut);
    await running.ops?.close();
    channels.close();
    await presence.close();
    await release();
    log.info({ event: 'gateway.closed' }, 'closed');
  };
  return {
    port,
    opsPort: running.ops?.port ?? null,
    close: (boundMs = 10_000) => (closing ??= close(boundMs)),
  };
}

async function startOps(config: Config, context: GatewayContext): Promise<OpsServer | null> {
  if (config.gateway.opsListen === null) return null;
  const { queue, metrics, store } = context;
  metrics.onScrape(async () => {
    const depth = await queue.depth();
    for (const state of ['waiting', 'active', 'delayed', 'failed'] as const) {
      metrics.queueJobs.set({ state }, depth[state]);
    }
    metrics.queueOldest.set(depth.oldestWaitingMs / 1000);
  });
  return startOpsServer({
    listen: config.gateway.opsListen,
    checks: {
      redis: async () => {
        if (!(await queue.writable())) throw new Error('Redis does not take a write');
        context.redisSafety.check();
      },
      store: async () => {
        await store.readSite();
      },
    },
    draining: () => context.drain.aborted,
    metrics: () => metrics.scrape(),
    log: context.log,
  });
}
