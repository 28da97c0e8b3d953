import type { Redis, RedisOptions } from 'ioredis';

/**
 * BullMQ makes a second, blocking connection by `duplicate()` and does not always end it (a close
 * while Redis is away). This keeps every duplicate within reach, with an error listener, so that
 * closing can be bounded.
 *
 * @returns a function that disconnects the connection and its duplicates, at once.
 */
export function trackDuplicates(redis: Redis): () => void {
  const all: Redis[] = [redis];
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = (override?: Partial<RedisOptions>): Redis => {
    const copy = duplicate(override);
    copy.on('error', () => undefined);
    all.push(copy);
    return copy;
  };
  return () => {
    for (const connection of all) connection.disconnect();
  };
}
