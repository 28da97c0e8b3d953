import type { Redis } from 'ioredis';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { strikeKey } from './names.js';

const KEPT_SECONDS = 7 * 24 * 3600;

/**
 * How often a suspect job was started alone without coming to an end. A counter of our own, because
 * BullMQ's count of stalls also counts jobs that merely shared a process with the culprit.
 */
export class Strikes {
  readonly #redis: Redis;
  readonly #siteGuid: Guid;

  /** `redis`: a producer connection, owned by the caller. */
  constructor(redis: Redis, siteGuid: Guid) {
    this.#redis = redis;
    this.#siteGuid = siteGuid;
  }

  /**
   * Counts one more start, before the job runs alone.
   *
   * @returns the number of starts, this one included.
   * @throws MpeError QUEUE_UNAVAILABLE
   */
  async add(jobId: string): Promise<number> {
    const key = strikeKey(this.#siteGuid, jobId);
    const count = await bounded(this.#redis.incr(key), 'strike');
    // Only so that a job that was lost leaves nothing behind; failing to set it harms nobody.
    await bounded(this.#redis.expire(key, KEPT_SECONDS), 'strike').catch(() => undefined);
    return count;
  }

  /** The number of starts; 0 for none. @throws MpeError QUEUE_UNAVAILABLE */
  async get(jobId: string): Promise<number> {
    return Number((await bounded(this.#redis.get(strikeKey(this.#siteGuid, jobId)), 'strike')) ?? 0);
  }

  /** Forgets them: the job came to an end, or its worker was told to stop. @throws MpeError QUEUE_UNAVAILABLE */
  async clear(jobId: string): Promise<void> {
    await bounded(this.#redis.del(strikeKey(this.#siteGuid, jobId)), 'strike');
  }
}
