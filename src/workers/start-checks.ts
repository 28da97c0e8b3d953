import type { Redis } from 'ioredis';
import type { Config } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { checkRedisSettings } from '../queue/index.js';
import type { SiteStore } from '../store/site-store.js';

/**
 * Reads the database's durability back: COMMITTED must survive a crash of the machine.
 *
 * @throws MpeError STORE_NOT_DURABLE
 */
export async function checkDurability(store: SiteStore): Promise<string> {
  const { durable, detail } = await store.durability();
  if (!durable) {
    throw new MpeError(
      'STORE_NOT_DURABLE',
      `the site database does not promise durability (${detail}); a worker would acknowledge what a crash can undo`,
    );
  }
  return detail;
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
