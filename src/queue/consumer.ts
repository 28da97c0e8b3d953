import { setMaxListeners } from 'node:events';
import { DelayedError, UnrecoverableError, Worker, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Guid } from '../protocol/guid.js';
import { assertNever } from '../ops/errors.js';
import { bounded } from './bounded.js';
import { trackDuplicates } from './consumer-connection.js';
import { readJob, type JobData } from './job.js';
import { LockWatch } from './lock-watch.js';
import { keyPrefix, QUEUE_NAME } from './names.js';
import { ProgressWatch } from './progress-watch.js';
import { connectRedis } from './redis.js';
import { sweepFailed, type FailedJob } from './sweep.js';

/** A job as a worker gets it. */
export interface TakenJob {
  readonly id: string;
  readonly data: JobData;
  /** How often the job was taken from a process that stopped renewing its lock; 0 = never. */
  readonly stalled: number;
}

/** What becomes of a job: it is done (whatever its outcome), or comes again later. */
export type JobVerdict = { readonly kind: 'done' } | { readonly kind: 'delay'; readonly ms: number };

/** How a {@link QueueConsumer} is started. */
export interface ConsumerOptions {
  readonly redisUrl: string;
  readonly siteGuid: Guid;
  /** Jobs at a time in this process. */
  readonly concurrency: number;
  /** How long a job belongs to a process that stopped renewing its lock. */
  readonly lockMs: number;
  /** How often abandoned jobs are looked for; two looks free one. */
  readonly stalledMs: number;
  readonly log: Logger;
  /**
   * Does the job. `signal` fires when the job's lock is lost (somebody else may be at it now) or
   * the consumer is closed by force. A throw is an unexpected fault: the job comes again later.
   */
  readonly process: (job: TakenJob, signal: AbortSignal) => Promise<JobVerdict>;
  /** Called while jobs wait and none ends for `noProgressMs`; beside the log line. */
  readonly onNoProgress?: () => void;
  /** Default 30 s. */
  readonly noProgressMs?: number;
  /** After how long a job of a newer format is tried again; default 15 s. */
  readonly newerFormatDelayMs?: number;
}

/** Delay of a job whose processing threw. */
const FAULT_DELAY_MS = 5000;
/** Stalls are counted by our own strikes; BullMQ must never fail a job for them. */
const MAX_STALLED = 1_000_000_000;
/** After the bound of close() everything is cut; this long is left for BullMQ to notice. */
const FORCED_MS = 1000;

/** The worker's side of the queue. */
export class QueueConsumer {
  readonly #options: ConsumerOptions;
  readonly #redis: Redis;
  readonly #disconnectAll: () => void;
  readonly #worker: Worker;
  readonly #locks: LockWatch;
  readonly #progress: ProgressWatch;
  readonly #forced = new AbortController();
  #active = 0;

  private constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#redis = connectRedis(options.redisUrl, 'consumer');
    this.#disconnectAll = trackDuplicates(this.#redis);
    this.#locks = new LockWatch(options.lockMs, options.log);
    this.#worker = new Worker(
      QUEUE_NAME,
      async (job: Job, token?: string) => this.#process(job, token ?? ''),
      {
        connection: this.#redis,
        prefix: keyPrefix(options.siteGuid),
        concurrency: options.concurrency,
        lockDuration: options.lockMs,
        stalledInterval: options.stalledMs,
        maxStalledCount: MAX_STALLED,
        // After an outage, look again soon.
        runRetryDelay: 1000,
        removeOnComplete: { count: 0 },
      },
    );
    this.#progress = new ProgressWatch({
      waiting: () => this.#redis.llen(this.#worker.toKey('wait')),
      afterMs: options.noProgressMs ?? 30_000,
      log: options.log,
      onNoProgress: options.onNoProgress ?? (() => undefined),
    });
    // One listener a running job, so a worker's concurrency is no leak.
    setMaxListeners(0, this.#forced.signal);
    this.#listen();
  }

  /** Starts taking jobs. Redis may be away: then it begins when Redis is there. */
  static start(options: ConsumerOptions): QueueConsumer {
    return new QueueConsumer(options);
  }

  #listen(): void {
    const { log } = this.#options;
    this.#worker.on('error', (error) => log.warn({ event: 'queue.error', error }, error.message));
    this.#worker.on('stalled', (jobId) =>
      log.warn({ event: 'queue.stalled', jobId }, 'a job was abandoned by its process and comes again'),
    );
    this.#worker.on('lockRenewalFailed', (jobIds) => this.#locks.lost(jobIds));
    this.#worker.on('locksRenewed', ({ jobIds }) => this.#locks.renewed(jobIds));
    this.#worker.on('failed', (job, error) =>
      log.error({ event: 'queue.failed', jobId: job?.id, reason: error.message }, 'the queue failed a job'),
    );
  }

  async #process(job: Job, token: string): Promise<null> {
    const id = job.id ?? '';
    const read = readJob(job.data);
    switch (read.kind) {
      case 'newer':
        this.#options.log.info({ event: 'queue.newer_format', jobId: id, format: read.format });
        // A queue full of them is no standstill of this process: it does what it can.
        this.#progress.moved();
        return this.#delay(job, token, this.#options.newerFormatDelayMs ?? 15_000);
      case 'broken':
        // Fails the job, so that the sweeper makes a dead letter of it.
        throw new UnrecoverableError(read.problem);
      case 'job':
        break;
      default:
        assertNever(read);
    }
    const lock = this.#locks.track(id);
    this.#active += 1;
    try {
      const verdict = await this.#run({ id, data: read.data, stalled: job.stalledCounter }, lock.controller);
      this.#progress.moved();
      switch (verdict.kind) {
        case 'done':
          return null;
        case 'delay':
          return await this.#delay(job, token, verdict.ms);
        case 'abandoned':
          // Handed on at once, and not as a suspect: it is this process that ends, not the job that
          // killed it. What still runs here is fenced by the commit.
          return await this.#delay(job, token, 0);
        default:
          return assertNever(verdict);
      }
    } finally {
      this.#active -= 1;
      this.#locks.untrack(id, lock);
      await this.#locks.ended(id);
    }
  }

  /** Runs the caller's function; ends early where the consumer is closed by force. */
  async #run(taken: TakenJob, lock: AbortController): Promise<JobVerdict | { readonly kind: 'abandoned' }> {
    const forced = this.#forced.signal;
    let cut = (): void => undefined;
    const abandoned = new Promise<{ readonly kind: 'abandoned' }>((resolve) => {
      cut = () => {
        lock.abort(new Error('the consumer was closed by force'));
        resolve({ kind: 'abandoned' });
      };
      if (forced.aborted) cut();
      else forced.addEventListener('abort', cut);
    });
    const work = async (): Promise<JobVerdict> => {
      try {
        return await this.#options.process(taken, lock.signal);
      } catch (error) {
        this.#options.log.error(
          { event: 'queue.process_threw', jobId: taken.id, error },
          'processing threw; the job comes again',
        );
        return { kind: 'delay', ms: FAULT_DELAY_MS };
      }
    };
    try {
      return await Promise.race([work(), abandoned]);
    } finally {
      forced.removeEventListener('abort', cut);
    }
  }

  /** Puts the job back for later. No attempt is spent. */
  async #delay(job: Job, token: string, ms: number): Promise<never> {
    try {
      const moved = job.moveToDelayed(Date.now() + ms, token);
      // This connection waits for Redis as long as it takes; a close must not.
      await (this.#forced.signal.aborted ? bounded(moved, 'hand on', FORCED_MS / 2) : moved);
    } catch (error) {
      // Lock lost, or Redis away: the job stays where it is and is found as abandoned.
      this.#options.log.warn({ event: 'queue.delay_failed', jobId: job.id, error });
    }
    throw new DelayedError();
  }

  /** Jobs in hand. */
  active(): number {
    return this.#active;
  }

  /**
   * Hands every job that BullMQ failed by itself to `onFailed` and then removes it. A throw leaves
   * that job for the next sweep.
   *
   * @returns the number of jobs removed.
   */
  async sweepFailed(onFailed: (job: FailedJob) => Promise<void>): Promise<number> {
    return sweepFailed(this.#redis, (name) => this.#worker.toKey(name), onFailed, this.#options.log);
  }

  /**
   * Takes no more jobs, waits up to `boundMs` for those in hand, then hands them on: their signals
   * fire and other processes take them, at once or, where Redis does not answer, when their locks
   * have run out. Always comes back.
   *
   * @param options force: do not wait at all.
   */
  async close(boundMs: number, options: { readonly force?: boolean } = {}): Promise<void> {
    this.#progress.close();
    const closed = this.#worker.close().catch(() => undefined);
    if (options.force === true) this.#forced.abort();
    const inTime = await within(closed, options.force === true ? FORCED_MS : boundMs);
    if (!inTime) {
      this.#options.log.warn({ event: 'queue.close_forced', active: this.#active });
      this.#forced.abort();
      await within(closed, FORCED_MS);
    }
    this.#locks.close();
    this.#disconnectAll();
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
