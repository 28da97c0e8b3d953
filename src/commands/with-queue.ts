import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/index.js';
import { isMpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import { SubmitQueue } from '../queue/index.js';
import { redisUrlOf } from './up-redis.js';

/** How long a command waits for Redis. */
const BOUND_MS = 2000;

/**
 * Opens the queue for one piece of work and closes it whatever happens.
 *
 * @throws MpeError QUEUE_UNAVAILABLE where Redis does not answer within two seconds
 */
export async function withRedisQueue<T>(
  config: Config,
  siteGuid: Guid,
  work: (queue: SubmitQueue) => Promise<T>,
): Promise<T> {
  const log = createLogger('command', { logLevel: 'fatal' }, { fd: 2 });
  const queue = SubmitQueue.open({
    redisUrl: redisUrlOf(config),
    siteGuid,
    highWater: config.queue.highWater,
    log,
  });
  try {
    await answered(queue);
    return await work(queue);
  } finally {
    await queue.close();
  }
}

/** Commands are refused until the first look has been answered; that takes a moment. */
async function answered(queue: SubmitQueue): Promise<void> {
  const until = performance.now() + BOUND_MS;
  for (;;) {
    try {
      queue.admit();
      return;
    } catch (error) {
      if (!isMpeError(error, 'QUEUE_UNAVAILABLE')) return;
      if (performance.now() > until) throw error;
      await sleep(20);
    }
  }
}
