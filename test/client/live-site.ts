import { join } from 'node:path';
import { loadConfig, type Config } from '../../src/config/index.js';
import { startGateway, type Gateway } from '../../src/ingest/gateway.js';
import { systemClock } from '../../src/ops/clock.js';
import { createLogger, type Logger } from '../../src/ops/log.js';
import { createSite } from '../../src/secrets/create-site.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { startWorker, type RunningWorker } from '../../src/workers/runtime.js';
import { ownPort } from '../support/own-port.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';

/** A whole site inside the test's process, on real parts: redis-server, SQLite, HTTPS, a worker. */
export class LiveSite {
  readonly config: Config;
  readonly store: SiteStore;
  readonly redis: TestRedis;
  readonly enrolmentToken: string;
  readonly keysDir: string;
  readonly #log: Logger;
  #gateway: Gateway | null = null;
  #worker: RunningWorker | null = null;
  #port = 0;

  private constructor(parts: {
    config: Config;
    store: SiteStore;
    redis: TestRedis;
    enrolmentToken: string;
    keysDir: string;
  }) {
    this.config = parts.config;
    this.store = parts.store;
    this.redis = parts.redis;
    this.enrolmentToken = parts.enrolmentToken;
    this.keysDir = parts.keysDir;
    this.#log = createLogger('test', { logLevel: 'error' });
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<LiveSite> {
    const folder = tempFolder('mpe-live-');
    const redis = await TestRedis.start();
    const config = loadConfig({
      MPE_HOME: folder,
      MPE_REDIS_URL: redis.url,
      MPE_GATEWAY_LISTEN: '127.0.0.1:0',
      MPE_GATEWAY_OPS_LISTEN: 'off',
      ...env,
    });
    const keysDir = join(folder, 'site-keys');
    const { seed, enrolmentToken } = await createSite({
      name: 'LIVE',
      keysDir,
      hostnames: ['localhost'],
      testSite: true,
      now: Date.now(),
    });
    const store = await openStore(config.store);
    await store.createSite(seed);
    const site = new LiveSite({ config, store, redis, enrolmentToken, keysDir });
    await site.startGateway();
    await site.startWorker();
    return site;
  }

  get url(): string {
    return `https://localhost:${String(this.#port)}`;
  }

  async startGateway(clockOffsetMs = 0, store = this.store): Promise<void> {
    if (this.#port === 0) this.#port = await ownPort();
    this.#gateway = await startGateway({
      config: {
        ...this.config,
        gateway: { ...this.config.gateway, listen: { host: '127.0.0.1', port: this.#port } },
      },
      store,
      keyFolder: await openKeyFolder(this.keysDir, 'gateway'),
      log: this.#log,
      clock: systemClock(clockOffsetMs),
      // A new revocation list, or a new key of the tenant, is seen at once.
      bounds: { lookEveryMs: 50 },
    });
  }

  /** On the same port. */
  async restartGateway(clockOffsetMs = 0, store = this.store): Promise<void> {
    await this.#gateway?.close(500);
    await this.startGateway(clockOffsetMs, store);
  }

  async startWorker(): Promise<void> {
    this.#worker = await startWorker({
      config: this.config,
      store: this.store,
      keyFolder: await openKeyFolder(this.keysDir, 'worker'),
      log: this.#log,
      clock: systemClock(),
      concurrency: 32,
    });
  }

  async stopWorker(): Promise<void> {
    await this.#worker?.close();
    this.#worker = null;
  }

  async stop(): Promise<void> {
    await this.#gateway?.close(500);
    await this.stopWorker();
    await this.store.close();
    await this.redis.stop();
  }
}
