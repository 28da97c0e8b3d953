import type { Redis } from 'ioredis';
import type { Config, StoreSetting } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { checkRedisSettings } from '../queue/index.js';
import type { SiteStore } from '../store/site-store.js';

/**
 * Reads the database's durability back: COMMITTED must survive a crash of the machine.
 *
 * @throws MpeError STORE_NOT_DURABLE
 */
export async function checkDurability(store: SiteStore, log: Logger): Promise<string> {
  const { durable, detail, warnings = [] } = await store.durability();
  for (const warning of warnings) log.warn({ event: 'store.warning', warning }, warning);
  if (!durable) {
    throw new MpeError(
      'STORE_NOT_DURABLE',
      `the site database does not promise durability (${detail}); a worker would acknowledge what a crash can undo`,
    );
  }
  return detail;
}

/**
 * Compares the size of the connection pool with the messages a worker works on at once: with fewer
 * connections messages would wait for each other until their time-out.
 *
 * @throws MpeError CONFIG_INVALID that names both settings
 */
export function checkPoolSize(store: StoreSetting, concurrency: number): void {
  if (store.kind !== 'mssql' || store.poolMax === undefined || store.poolMax >= concurrency) return;
  throw new MpeError(
    'CONFIG_INVALID',
    `MPE_STORE_POOL_MAX is ${store.poolMax}, lower than MPE_WORKER_CONCURRENCY (or --concurrency), which is ${concurrency}: ` +
      'raise the first, lower the second, or leave MPE_STORE_POOL_MAX out',
  );
}

/**
 * Compares Redis' settings with what accepted messages need.
 *
 * @throws MpeError REDIS_UNSAFE unless overridden (then a warning a problem), QUEUE_UNAVAILABLE
 */
export async function checkRedis(redis: Redis, config: Pick<Config, 'redis'>, log: Logger): Promise<void> {
  const problems = await checkRedisSettings(redis);
  if (problems.length === 0) return;
  if (!config.redis.allowUnsafe) {
    throw new MpeError(
      'REDIS_UNSAFE',
      ['Redis could lose accepted messages; set it right, or set MPE_REDIS_ALLOW_UNSAFE=1:']
        .concat(problems.map((problem) => `  ${problem}`))
        .join('\n'),
    );
  }
  for (const problem of problems) log.warn({ event: 'redis.unsafe', problem }, problem);
}
