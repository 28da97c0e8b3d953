import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegistrationSettings } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { assertNever, isMpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { MBAM_EVENTS } from '../ops/mbam-events.js';
import { Metrics } from '../ops/metrics.js';
import type { MessageReply, RegistrationReply } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import type { MessageJob, RegistrationJob } from '../queue/index.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import type { SiteStore } from '../store/site-store.js';
import { announce } from './announce.js';
import { GroupCommitter } from './commit.js';
import { addDeadLetter, mayRunAgain, type DeadLetterCause } from './dead-letter.js';
import { processRegistration, registrationReply } from './registration.js';
import { leaveQuarantine } from './release-quarantine.js';
import { answerRun, describe, type Answer, type Run } from './run.js';
import { unsealedReply } from './reply.js';
import { SiteContext } from './site-context.js';
import { runStages, type StagesContext } from './stages.js';
import type { Processed } from './types.js';

/** What a {@link Pipeline} is made of. */
export interface PipelineOptions {
  readonly store: SiteStore;
  /** Opened for the role `worker`. */
  readonly keyFolder: KeyFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** Name of this process in stages and data keys; default `host/pid`. */
  readonly by?: string;
  readonly groupMax?: number;
  readonly quarantineMax?: number;
  readonly deadLetterMax?: number;
  /** What registers a client; default: tokens, certificates, Entra devices. */
  readonly registration?: RegistrationSettings;
  /** Message ids that kill this process when it opens them; ignored outside test sites. */
  readonly poison?: readonly string[];
  /** Least time between two reloads of the site for an unknown kid; default 3 s. */
  readonly reloadEveryMs?: number;
}

/** How one message is run. */
export interface ProcessOptions {
  /** Nothing else runs in this process now. With false a message may ask for it: verdict `alone`. */
  readonly alone: boolean;
  /** Which delivery this is, from 1. */
  readonly attempt?: number;
  /** Fires when the job belongs to somebody else now: nothing more is written. */
  readonly signal?: AbortSignal;
}

/** How often a message may fail by itself before it is given up. */
const FAILURES = 3;

/**
 * The way of a message from sealed to answered, without a queue: open, verify, decode, validate,
 * commit, reply. Safe to call many times at once; what is ready together is committed together.
 *
 * Nothing that a client sends makes it throw. What it returns as `done` is true already: durable in
 * the site database where it says so.
 */
export class Pipeline {
  readonly site: SiteContext;
  readonly metrics: Metrics;
  readonly #options: PipelineOptions;
  readonly #by: string;
  readonly #stages: StagesContext;

  private constructor(options: PipelineOptions, site: SiteContext, by: string) {
    this.#options = options;
    this.site = site;
    this.#by = by;
    this.metrics = options.metrics ?? new Metrics('worker', { defaults: false });
    const { store, clock, log } = options;
    const { metrics } = this;
    this.#stages = {
      ...{ store, clock, site, metrics, by },
      committer: new GroupCommitter({
        ...{ store, log, metrics, groupMax: options.groupMax ?? 64 },
        onDataKeyMissing: () => site.forgetDataKey(),
      }),
      quarantineMax: options.quarantineMax ?? 100_000,
      poison: new Set(site.current.site.testSite ? (options.poison ?? []) : []),
    };
  }

  /**
   * Reads the site and its keys.
   *
   * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC, KEY_FOLDER_INVALID, STORE_TRANSIENT
   */
  static async create(options: PipelineOptions): Promise<Pipeline> {
    const by = options.by ?? `${hostname()}/${process.pid}`;
    const { store, keyFolder, clock, log, reloadEveryMs } = options;
    const site = await SiteContext.create({
      ...{ store, keyFolder, clock, log, by },
      ...(reloadEveryMs === undefined ? {} : { reloadEveryMs }),
    });
    return new Pipeline(options, site, by);
  }

  /** Runs a message. Never throws for what the message holds; see {@link Processed}. */
  async processMessage(job: MessageJob, options: ProcessOptions): Promise<Processed> {
    const { store, log } = this.#options;
    const attempt = options.attempt ?? 1;
    const startedAt = performance.now();
    const done = (run: Answer): Processed => {
      const { reply, cause, written, keysWritten } = run;
      const tookMs = performance.now() - startedAt;
      announce(job, reply, { cause, keysWritten, tookMs, attempt }, log, this.metrics);
      return { reply, cause, written, keysWritten, verdict: 'done', delayMs: 0 };
    };
    const deadLettered = unsealedReply(job.messageId, 'REJECTED', 'DEAD_LETTERED');
    let failure: Error | null = null;
    for (let tries = 0; tries < FAILURES; tries += 1) {
      if (options.signal?.aborted === true) return this.#later(job, new Error('the job was taken over'));
      let run: Run;
      try {
        if (tries === 0) {
          const dead = await store.findDeadLetter(job.clientId, job.messageId);
          if (dead !== null && !mayRunAgain(dead)) {
            await store.countDeadLetterResend(job.clientId, job.messageId);
            return done(answerRun(deadLettered, `dead letter since before: ${dead.cause}`));
          }
          if (dead !== null && !options.alone) return { ...this.#later(job, null), verdict: 'alone' };
        }
        run = await runStages(job, attempt, options.signal, this.#stages);
      } catch (error) {
        const asError = error instanceof Error ? error : new Error(String(error));
        run = { kind: isMpeError(error) && error.retryable ? 'transient' : 'failed', error: asError };
      }
      switch (run.kind) {
        case 'answer':
          try {
            await leaveQuarantine(job, run, store);
          } catch (error) {
            return this.#later(job, error instanceof Error ? error : new Error(String(error)));
          }
          return done(run);
        case 'transient':
          return this.#later(job, run.error);
        case 'failed':
          failure = run.error;
          log.error({
            ...{ event: 'message.failed', mbamEventId: MBAM_EVENTS.AgentServiceError },
            ...{ ...names(job), attempt, tries: tries + 1, error: failure },
          });
          await sleep(20 + Math.random() * 80);
          break;
        default:
          return assertNever(run);
      }
    }
    return this.#giveUp(job, failure ?? new Error('unknown'), done, deadLettered);
  }

  /**
   * Verifies and commits a registration. TEMPORARY where it failed for no reason of its own or is a
   * dead letter: the client sends it again.
   *
   * @throws MpeError STORE_TRANSIENT: nothing was decided, run it again later
   */
  async processRegistration(job: RegistrationJob): Promise<RegistrationReply> {
    const { store, clock, log } = this.#options;
    const facts = { clientId: job.clientId, registrationId: job.registrationId };
    const temporary = registrationReply(job.clientId, '', 'REFUSED', 'TEMPORARY', 0);
    try {
      const dead = await store.findDeadLetter(job.clientId, job.registrationId);
      if (dead !== null && !mayRunAgain(dead)) {
        await store.countDeadLetterResend(job.clientId, job.registrationId);
        return temporary;
      }
      const { siteGuid } = this.site.current.site;
      const { registration } = this.#options;
      const { reply, cause } = await processRegistration(job, {
        ...{ siteGuid, store, nowMs: clock.now() },
        ...(registration === undefined ? {} : { settings: registration }),
      });
      const line = { ...facts, status: reply.status, reason: reply.reason, cause, epoch: reply.epoch };
      if (reply.status === 'REFUSED') log.warn({ event: 'client.registration_refused', ...line });
      else if (reply.status === 'PENDING') log.info({ event: 'client.registration_pending', ...line });
      else log.info({ event: 'client.registered', ...line });
      return reply;
    } catch (error) {
      if (isMpeError(error) && error.retryable) throw error;
      log.error({ event: 'client.registration_failed', ...facts, error });
      return temporary;
    }
  }

  /** Gives a message up, if the database takes other writes: else the fault is not the message's. */
  async #giveUp(
    job: MessageJob,
    failure: Error,
    done: (run: Answer) => Processed,
    deadLettered: MessageReply,
  ): Promise<Processed> {
    const { store } = this.#options;
    try {
      await store.probeWrite(this.#by);
      const cause: DeadLetterCause = isMpeError(failure, 'STORE_FAILED') ? 'STORE_FAILED' : 'HANDLER_FAILED';
      await this.addDeadLetter(job, cause, describe(failure));
      const run = answerRun(deadLettered, `${cause}: ${describe(failure)}`);
      return done({ ...run, written: true });
    } catch (error) {
      return this.#later(job, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Writes a dead letter row for a job, within the site's bound. */
  async addDeadLetter(
    job: MessageJob | RegistrationJob,
    cause: DeadLetterCause,
    detail: string,
  ): Promise<void> {
    const { store, clock, log, deadLetterMax } = this.#options;
    const bound = deadLetterMax ?? 100_000;
    await addDeadLetter(job, cause, detail, { store, clock, log, metrics: this.metrics, bound });
  }

  #later(job: MessageJob, error: Error | null): Processed {
    if (error !== null) {
      const ofStore = isMpeError(error, 'STORE_TRANSIENT') || isMpeError(error, 'STORE_FAILED');
      this.#options.log.warn({
        ...{ event: 'message.delayed', ...names(job), cause: describe(error) },
        ...(ofStore ? { mbamEventId: MBAM_EVENTS.AgentServiceRecoveryDbError } : {}),
      });
    }
    return {
      reply: unsealedReply(job.messageId, 'QUEUED', 'NONE'),
      verdict: 'delay',
      delayMs: Math.round(500 + Math.random() * 1500),
      keysWritten: 0,
      written: false,
      cause: error === null ? '' : describe(error),
    };
  }
}

function names(job: MessageJob): { clientId: Guid; messageId: Guid } {
  return { clientId: job.clientId, messageId: job.messageId };
}
