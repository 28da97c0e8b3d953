/**
 * The worker runtime: jobs from the queue into the pipeline, answers back, and what happens when a
 * process dies in between.
 *
 * Invariants
 *  I1  A job leaves Redis only after its answer is true: an outcome, a quarantine row or a dead
 *      letter is durable, or nothing of it is to be kept (CANNOT_OPEN, a reused id).
 *  I2  A job of which another process died (`stalled` > 0) is a suspect. A process finishes what it
 *      has, then runs the suspect with nothing beside it. So a message that kills its process takes
 *      its neighbours along once, the first time, and never again.
 *  I3  A strike is in Redis before a suspect starts and away once the process has survived it. Three
 *      strikes: the message itself kills processes, and becomes a dead letter without being opened.
 *  I4  An orderly end is no evidence: draining and forced stops take the strikes of what they leave.
 *  I5  Whoever has lost a job's lock acknowledges nothing. Another process may be at it; the site
 *      database decides which of the two wrote.
 *  I6  No fault of Redis or of the database ends a message: it is put off, without counting.
 *
 * Crash points (kill -9 at any of them; the job is found abandoned and runs again as a suspect)
 *  C1  before the commit          nothing is written; the whole way again
 *  C2  during the commit          the transaction is whole or not there; as C1 or C3
 *  C3  after the commit           the outcome answers ALREADY_COMMITTED with a fresh sealed reply
 *  C4  after publishing           as C3; the client has its answer already
 *  C5  after a dead letter's row  the next delivery finds the row, counts, and ends the job
 *  C6  between strike and start   one strike too many; two more are needed to condemn a message
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { assertTestSettings, type Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { isMpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { Metrics } from '../ops/metrics.js';
import { encodeMessageReply, encodeRegistrationReply } from '../protocol/encode.js';
import type { Guid } from '../protocol/guid.js';
import {
  connectRedis,
  Presence,
  QueueConsumer,
  ReplyBus,
  Strikes,
  type JobVerdict,
  type RegistrationJob,
  type TakenJob,
} from '../queue/index.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { certificateEnd, documentExpiry } from '../secrets/expiring.js';
import { ExpiryWatch } from '../secrets/expiry-watch.js';
import type { SiteStore } from '../store/site-store.js';
import { AloneGate } from './alone-gate.js';
import { workerChores } from './chores.js';
import { Housekeeping } from './housekeeping.js';
import { Pipeline } from './pipeline.js';
import { registrationReply } from './registration.js';
import { unsealedReply } from './reply.js';
import { checkDurability, checkPoolSize, checkRedis } from './start-checks.js';
import { MAX_STRIKES, Suspects } from './suspects.js';

/** How a worker is started. */
export interface WorkerOptions {
  readonly config: Config;
  readonly store: SiteStore;
  /** Opened for the role `worker`. */
  readonly keyFolder: KeyFolder;
  readonly log: Logger;
  readonly clock: Clock;
  /** Jobs at a time in this process. */
  readonly concurrency: number;
  readonly metrics?: Metrics;
  /** Called once where the worker cannot go on: unsafe Redis, or no progress for long. */
  readonly onFatal?: (error: Error) => void;
}

/** A running worker. */
export interface RunningWorker {
  readonly metrics: Metrics;
  /** Takes jobs now. */
  ready(): boolean;
  /** Jobs in hand. */
  active(): number;
  /** Finishes what is in hand within the bound; by force: leaves it at once. Safe to call twice. */
  close(options?: { readonly force?: boolean }): Promise<void>;
}

const REDIS_RETRY_MS = 500;

/**
 * Checks the site, its keys and the database, then takes jobs. Redis may be away: then it waits for
 * it, and is not ready.
 *
 * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC, KEY_FOLDER_INVALID, STORE_NOT_DURABLE,
 *   CONFIG_INVALID, REDIS_UNSAFE
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const { config, store, keyFolder, log, clock } = options;
  const metrics = options.metrics ?? new Metrics('worker');
  checkPoolSize(config.store, options.concurrency);
  const durability = await checkDurability(store, log);
  const pipeline = await Pipeline.create({
    ...{ store, keyFolder, clock, log, metrics },
    groupMax: config.worker.groupMax,
    quarantineMax: config.quarantineMax,
    deadLetterMax: config.deadLetterMax,
    registration: config.registration,
    poison: config.test.poison,
  });
  const { site } = pipeline.site.current;
  assertTestSettings(config, site.testSite);

  const worker = new Worker(options, pipeline, metrics, site.siteGuid);
  try {
    await worker.begin();
  } catch (error) {
    await worker.close({ force: true });
    throw error;
  }
  log.info({
    event: 'worker.started',
    siteGuid: site.siteGuid,
    siteDocument: pipeline.site.current.document.version,
    concurrency: options.concurrency,
    store: store.dialect,
    durability,
  });
  return worker;
}

class Worker implements RunningWorker {
  readonly metrics: Metrics;
  readonly #options: WorkerOptions;
  readonly #pipeline: Pipeline;
  readonly #siteGuid: Guid;
  readonly #redis: Redis;
  readonly #bus: ReplyBus;
  readonly #suspects: Suspects;
  readonly #gate = new AloneGate();
  readonly #closing = new AbortController();
  readonly #housekeeping: Housekeeping;
  readonly #expiry: ExpiryWatch;
  #consumer: QueueConsumer | null = null;
  #presence: Presence | null = null;
  #closed: Promise<void> | null = null;

  constructor(options: WorkerOptions, pipeline: Pipeline, metrics: Metrics, siteGuid: Guid) {
    const { config, log, store, clock } = options;
    this.metrics = metrics;
    this.#options = options;
    this.#pipeline = pipeline;
    this.#siteGuid = siteGuid;
    this.#redis = connectRedis(config.redis.url, 'producer');
    this.#bus = ReplyBus.open({ redisUrl: config.redis.url, siteGuid, gatewayId: null, log });
    this.#suspects = new Suspects(new Strikes(this.#redis, siteGuid), log);
    this.#expiry = new ExpiryWatch({
      expiring: () => {
        const { document } = pipeline.site.current;
        const certificate = options.keyFolder.certificate(document.certificateThumbprint);
        return [documentExpiry(document), ...(certificate === null ? [] : [certificateEnd(certificate)])];
      },
      ...{ clock, log, metrics },
    });
    this.#housekeeping = new Housekeeping(
      workerChores({
        ...{ config, store, clock, log, pipeline, siteGuid, redis: this.#redis },
        ready: () => this.ready(),
        consumer: () => this.#consumer,
      }),
      log,
    );
  }

  /** Starts to consume once Redis was seen to be safe; in the background where it is away. */
  async begin(): Promise<void> {
    if (await this.#tryBegin()) return;
    this.#options.log.warn({ event: 'worker.redis_away' }, 'Redis does not answer: waiting for it');
    void this.#beginLater();
  }

  async #beginLater(): Promise<void> {
    const { signal } = this.#closing;
    try {
      while (!signal.aborted) {
        await sleep(REDIS_RETRY_MS, undefined, { signal });
        if (await this.#tryBegin()) return;
      }
    } catch (error) {
      if (!signal.aborted) this.#options.onFatal?.(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @throws MpeError REDIS_UNSAFE */
  async #tryBegin(): Promise<boolean> {
    const { config, log, concurrency } = this.#options;
    try {
      await this.#connected();
      await checkRedis(this.#redis, config, log);
    } catch (error) {
      if (isMpeError(error, 'QUEUE_UNAVAILABLE')) return false;
      throw error;
    }
    if (this.#closing.signal.aborted) return true;
    this.#consumer = QueueConsumer.start({
      redisUrl: config.redis.url,
      siteGuid: this.#siteGuid,
      concurrency,
      lockMs: config.queue.lockMs,
      stalledMs: config.queue.stalledMs,
      log,
      process: (job, signal) => this.#process(job, signal),
      onNoProgress: () => this.#options.onFatal?.(new Error('jobs wait and none ends: this process hangs')),
    });
    this.#presence = new Presence(this.#redis, this.#siteGuid, {
      role: 'worker',
      name: `${hostname()}/${process.pid}`,
      startedAtMs: Date.now(),
      concurrency,
    });
    log.info({ event: 'worker.ready', concurrency });
    return true;
  }

  /** A connection without an offline queue refuses commands until it is up; give it a moment. */
  async #connected(): Promise<void> {
    for (let i = 0; i < 20 && this.#redis.status !== 'ready' && !this.#closing.signal.aborted; i += 1)
      await sleep(50);
  }

  ready(): boolean {
    return this.#consumer !== null && this.#closed === null && this.#redis.status === 'ready';
  }

  active(): number {
    return this.#consumer?.active() ?? 0;
  }

  close(options: { readonly force?: boolean } = {}): Promise<void> {
    if (options.force === true && this.#closed !== null) return this.#force();
    this.#closed ??= options.force === true ? this.#force() : this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    const { config, log } = this.#options;
    log.info({ event: 'worker.draining', active: this.active(), boundMs: config.worker.drainMs });
    this.#closing.abort();
    await this.#consumer?.close(config.worker.drainMs);
    await this.#end();
    log.info({ event: 'worker.drained' });
  }

  async #force(): Promise<void> {
    this.#options.log.warn({ event: 'worker.forced', active: this.active() });
    this.#closing.abort();
    await this.#consumer?.close(0, { force: true });
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#expiry.close();
    await this.#housekeeping.close();
    await this.#presence?.close();
    await this.#suspects.forgetRunning();
    await this.#bus.close();
    this.#redis.disconnect();
  }

  /** One delivery of one job. Throws nothing but faults of Redis, which put the job off. */
  async #process(job: TakenJob, signal: AbortSignal): Promise<JobVerdict> {
    if (job.stalled > 0) return this.#gate.alone(() => this.#suspect(job, signal));
    const verdict = await this.#gate.together(() => this.#run(job, signal, false));
    if (verdict !== 'alone') return verdict;
    return this.#gate.alone(() => this.#suspect(job, signal));
  }

  async #suspect(job: TakenJob, signal: AbortSignal): Promise<JobVerdict> {
    const strikes = await this.#suspects.count(job.id);
    if (strikes >= MAX_STRIKES) {
      await this.#pipeline.addDeadLetter(
        job.data,
        'KILLED_ITS_WORKER',
        `${strikes} worker processes died while they ran this message alone`,
      );
      await this.#suspects.forget(job.id);
      await this.#publish(job, this.#deadReply(job));
      return { kind: 'done' };
    }
    const verdict = await this.#suspects.run(job.id, () => this.#run(job, signal, true));
    return verdict === 'alone' ? { kind: 'delay', ms: 1000 } : verdict;
  }

  async #run(job: TakenJob, signal: AbortSignal, alone: boolean): Promise<JobVerdict | 'alone'> {
    const later: JobVerdict = { kind: 'delay', ms: Math.round(1000 + Math.random() * 2000) };
    if (gone(signal)) return later;
    if (job.data.kind === 'registration') {
      return this.#register(job, job.data, signal, later);
    }
    const processed = await this.#pipeline.processMessage(job.data, {
      alone,
      attempt: job.stalled + 1,
      signal,
    });
    if (processed.verdict === 'alone') return 'alone';
    if (gone(signal)) return later;
    if (processed.verdict === 'delay') return { kind: 'delay', ms: processed.delayMs };
    await this.#publish(job, encodeMessageReply(processed.reply));
    return { kind: 'done' };
  }

  async #register(
    job: TakenJob,
    data: RegistrationJob,
    signal: AbortSignal,
    later: JobVerdict,
  ): Promise<JobVerdict> {
    let reply;
    try {
      reply = await this.#pipeline.processRegistration(data);
    } catch (error) {
      this.#options.log.warn({ event: 'client.registration_delayed', clientId: data.clientId, error });
      return later;
    }
    if (gone(signal)) return later;
    await this.#publish(job, encodeRegistrationReply(reply));
    return { kind: 'done' };
  }

  async #publish(job: TakenJob, reply: Buffer): Promise<void> {
    await this.#bus.publish(job.id, job.data.gatewayId, reply);
  }

  #deadReply(job: TakenJob): Buffer {
    return job.data.kind === 'message'
      ? encodeMessageReply(unsealedReply(job.data.messageId, 'REJECTED', 'DEAD_LETTERED'))
      : encodeRegistrationReply(registrationReply(job.data.clientId, '', 'REFUSED', 'TEMPORARY', 0));
  }
}

/** Whether the job belongs to somebody else by now; changes while one waits. */
function gone(signal: AbortSignal): boolean {
  return signal.aborted;
}
