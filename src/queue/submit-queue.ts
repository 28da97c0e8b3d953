import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import type { QueueDepth } from './depth.js';
import { jobIdOf, type JobData } from './job.js';
import { keyPrefix, QUEUE_NAME } from './names.js';
import { QueueGauge } from './queue-gauge.js';
import { connectRedis } from './redis.js';

/** How a {@link SubmitQueue} is opened. */
export interface SubmitQueueOptions {
  readonly redisUrl: string;
  readonly siteGuid: Guid;
  /** Waiting and delayed jobs from which on nothing more is taken. */
  readonly highWater: number;
  readonly log: Logger;
}

/**
 * Options of every job. Nothing that ended stays: a done job is removed at once. What BullMQ fails
 * by itself stays until the sweeper has made a row of it. `attempts` is without bound because
 * BullMQ's own failing must never end a message; only the worker's verdict does.
 */
const JOB_OPTIONS = {
  removeOnComplete: true,
  removeOnFail: false,
  attempts: 1_000_000_000,
  backoff: { type: 'fixed', delay: 5000 },
  stackTraceLimit: 0,
  keepLogs: 0,
} as const;

/** Entries of BullMQ's event stream; nobody reads it, so it is kept short. */
const EVENTS_KEPT = 1000;

/** The gateway's side of the queue: adds jobs, or says at once why it cannot. */
export class SubmitQueue {
  readonly #redis: Redis;
  readonly #queue: Queue;
  readonly #gauge: QueueGauge;

  private constructor(options: SubmitQueueOptions) {
    this.#redis = connectRedis(options.redisUrl, 'producer');
    this.#queue = new Queue(QUEUE_NAME, {
      connection: this.#redis,
      prefix: keyPrefix(options.siteGuid),
      // BullMQ asks for the version once; with a connection that fails fast that can fail, and a
      // Queue whose start failed fails for ever.
      skipVersionCheck: true,
      streams: { events: { maxLen: EVENTS_KEPT } },
    });
    this.#queue.on('error', () => undefined);
    this.#gauge = new QueueGauge({
      redis: this.#redis,
      key: (name) => this.#queue.toKey(name),
      highWater: options.highWater,
      log: options.log,
    });
  }

  /** Opens the queue. Redis may be away: then adds fail until it is there. */
  static open(options: SubmitQueueOptions): SubmitQueue {
    return new SubmitQueue(options);
  }

  /** The connection, for what else a gateway keeps in Redis (nonces, settings). Not to be closed. */
  get redis(): Redis {
    return this.#redis;
  }

  /** Waits until Redis answers, at most `boundMs`; false where it does not. Never throws. */
  ready(boundMs: number): Promise<boolean> {
    return this.#gauge.ready(boundMs);
  }

  /**
   * Whether a job would be taken now, judged by the last look at Redis: costs nothing, so it comes
   * before a body is read.
   *
   * @throws MpeError QUEUE_UNAVAILABLE | QUEUE_FULL
   */
  admit(): void {
    this.#gauge.admit();
  }

  /**
   * Puts a job into the queue. When this returns, Redis has it (and, with `appendfsync always`, its
   * disk). A job that is in the queue already is left alone.
   *
   * @throws MpeError QUEUE_UNAVAILABLE after at most 1.5 seconds: the job may still be there.
   * @throws MpeError QUEUE_FULL at the high-water mark, or where Redis' memory is nearly used up.
   */
  async add(job: JobData): Promise<void> {
    this.#gauge.admit();
    const size = job.kind === 'message' ? job.sealed.length : job.jws.length;
    this.#gauge.count(size);
    try {
      await bounded(this.#queue.add(job.kind, job, { ...JOB_OPTIONS, jobId: jobIdOf(job) }), 'add');
    } catch (error) {
      // Until Redis has answered a look again nothing more is sent: what waits unanswered in a
      // socket's buffer would only grow.
      if (error instanceof MpeError && error.facts['fault'] === 'TIMEOUT') this.#gauge.suspect();
      throw error;
    }
  }

  /** Writes to Redis and says whether it took: what readiness rests on. Never throws. */
  async writable(): Promise<boolean> {
    try {
      await bounded(this.#redis.set(this.#queue.toKey('probe'), '1', 'PX', 10_000), 'probe');
      return true;
    } catch {
      return false;
    }
  }

  /** Counts the jobs. @throws MpeError QUEUE_UNAVAILABLE */
  async depth(): Promise<QueueDepth> {
    return bounded(this.#gauge.depth(), 'depth');
  }

  /** Whether a job is in the queue, in any state. @throws MpeError QUEUE_UNAVAILABLE */
  async state(jobId: string): Promise<'absent' | 'present'> {
    const found = await bounded(this.#redis.exists(this.#queue.toKey(jobId)), 'state');
    return found === 1 ? 'present' : 'absent';
  }

  /** Closes the connection; adds under way fail. */
  async close(): Promise<void> {
    this.#gauge.close();
    this.#redis.disconnect();
    await this.#queue.close().catch(() => undefined);
  }
}
