import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { MpeError } from '../ops/errors.js';
import { bounded } from './bounded.js';
import type { QueueDepth } from './depth.js';

/** How a {@link QueueGauge} is made. */
export interface QueueGaugeOptions {
  /** A producer connection. */
  readonly redis: Redis;
  /** Redis key of one of BullMQ's structures. */
  readonly key: (name: string) => string;
  readonly highWater: number;
  readonly log: Logger;
}

/** Time between two looks, in milliseconds. */
const LOOK_EVERY_MS = 250;
/** A look that is not answered within this time means that Redis is away. */
const LOOK_BOUND_MS = 1000;
/**
 * Share of maxmemory from which on nothing is taken. Well below 1: a Redis that is really full also
 * refuses what workers need in order to empty it.
 */
const MEMORY_SHARE = 0.9;
/** What a job costs in Redis (measured: 2 KB jobs take 2.8 KB, and buffers hold a copy for a while). */
const JOB_OVERHEAD = 1200;
const JOB_FACTOR = 1.5;

/**
 * What a producer knows of the queue without asking for each job: looks four times a second and
 * counts its own adds in between.
 */
export class QueueGauge {
  readonly #options: QueueGaugeOptions;
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  /** Null = Redis answers. */
  #problem: string | null = 'Redis has not answered yet';
  #depth = 0;
  #memory = { used: 0, max: 0 };
  #addedJobs = 0;
  #addedBytes = 0;

  constructor(options: QueueGaugeOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
    options.redis.on('ready', () => void this.#look());
    options.redis.on('close', () => this.#lost('the connection to Redis is closed'));
  }

  /** @throws MpeError QUEUE_UNAVAILABLE | QUEUE_FULL where a job would not be taken now. */
  admit(): void {
    if (this.#problem !== null) throw new MpeError('QUEUE_UNAVAILABLE', this.#problem);
    if (this.#depth + this.#addedJobs >= this.#options.highWater) {
      throw new MpeError(
        'QUEUE_FULL',
        `the queue is at its high-water mark of ${this.#options.highWater} jobs`,
      );
    }
    const { used, max } = this.#memory;
    if (max > 0 && used + this.#addedBytes >= max * MEMORY_SHARE) {
      throw new MpeError('QUEUE_FULL', `Redis uses ${Math.round(MEMORY_SHARE * 100)}% of its maxmemory`);
    }
  }

  /** Counts a job of `size` bytes that is being added. */
  count(size: number): void {
    this.#addedJobs += 1;
    this.#addedBytes += size * JOB_FACTOR + JOB_OVERHEAD;
  }

  /** An add was not answered: nothing more until Redis answers a look. */
  suspect(): void {
    this.#lost('Redis does not answer in time');
  }

  #lost(problem: string): void {
    if (this.#problem === null) {
      this.#options.log.warn({ event: 'queue.unavailable', problem }, problem);
    }
    this.#problem = problem;
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#options.redis.status !== 'ready') return;
    this.#looking = true;
    try {
      const { redis, key } = this.#options;
      const jobs = this.#addedJobs;
      const bytes = this.#addedBytes;
      const [waiting, delayed, info] = await bounded(
        Promise.all([redis.llen(key('wait')), redis.zcard(key('delayed')), redis.info('memory')]),
        'look',
        LOOK_BOUND_MS,
      );
      this.#depth = waiting + delayed;
      this.#memory = { used: field(info, 'used_memory'), max: field(info, 'maxmemory') };
      // Adds that were sent before the look are in its numbers; later ones stay counted.
      this.#addedJobs -= jobs;
      this.#addedBytes -= bytes;
      if (this.#problem !== null) {
        this.#problem = null;
        this.#options.log.info({ event: 'queue.available', depth: this.#depth }, 'Redis answers');
      }
    } catch (error) {
      this.#lost(error instanceof Error ? error.message : 'Redis does not answer');
    } finally {
      this.#looking = false;
    }
  }

  /** Waits until Redis has answered a look, at most `boundMs`. */
  async ready(boundMs: number): Promise<boolean> {
    const until = performance.now() + boundMs;
    while (this.#problem !== null && performance.now() < until) await sleep(10);
    return this.#problem === null;
  }

  /** Counts the jobs now. */
  async depth(): Promise<QueueDepth> {
    const { redis, key } = this.#options;
    const [waiting, active, delayed, failed, oldest] = await Promise.all([
      redis.llen(key('wait')),
      redis.llen(key('active')),
      redis.zcard(key('delayed')),
      redis.zcard(key('failed')),
      redis.lindex(key('wait'), -1),
    ]);
    const added = oldest === null ? null : await redis.hget(key(oldest), 'timestamp');
    const oldestWaitingMs = added === null ? 0 : Math.max(0, Date.now() - Number(added));
    return { waiting, active, delayed, failed, oldestWaitingMs };
  }

  /** Stops looking. */
  close(): void {
    clearInterval(this.#timer);
  }
}

function field(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}
