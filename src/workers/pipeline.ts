import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegistrationSettings } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { assertNever, isMpeError, MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { MBAM_EVENTS } from '../ops/mbam-events.js';
import { Metrics } from '../ops/metrics.js';
import type { MessageReply, RegistrationReply } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import { LIMITS, REASON_TABLE } from '../protocol/vocabulary.js';
import { bodyTypeWord } from '../protocol/wire-enums.js';
import type { MessageJob, RegistrationJob } from '../queue/index.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import type { SecretWrite, SiteStore } from '../store/site-store.js';
import { announce } from './announce.js';
import { clientGates } from './client-gates.js';
import { GroupCommitter } from './commit.js';
import { addDeadLetter, mayRunAgain, type DeadLetterCause } from './dead-letter.js';
import { decodeMessage } from './decode.js';
import type { Gates } from './gates.js';
import { openEnvelope } from './open.js';
import { candidateOf, planMessage, type PlanContext } from './plan.js';
import { quarantine } from './quarantine.js';
import { processRegistration, registrationReply } from './registration.js';
import { leaveQuarantine } from './release-quarantine.js';
import { answerRun, describe, type Answer, type Run } from './run.js';
import { sealedReply, unsealedReply } from './reply.js';
import { SiteContext } from './site-context.js';
import { StageTimer } from './stage-timer.js';
import { NOTHING_JUDGED, type Prepared, type Processed, type Refusal, type Verified } from './types.js';
import { validate } from './validate.js';
import { verifySignature } from './verify.js';

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
  readonly #committer: GroupCommitter;
  readonly #poison: ReadonlySet<string>;

  private constructor(options: PipelineOptions, site: SiteContext, by: string) {
    this.#options = options;
    this.site = site;
    this.#by = by;
    this.metrics = options.metrics ?? new Metrics('worker', { defaults: false });
    this.#committer = new GroupCommitter({
      store: options.store,
      log: options.log,
      metrics: this.metrics,
      groupMax: options.groupMax ?? 64,
    });
    this.#poison = new Set(site.current.site.testSite ? (options.poison ?? []) : []);
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
        run = await this.#run(job, attempt, options.signal);
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

  async #run(job: MessageJob, attempt: number, signal: AbortSignal | undefined): Promise<Run> {
    const { store, clock } = this.#options;
    const timer = new StageTimer(clock, this.#by, this.metrics);
    timer.received(job.receivedAtMs, job.gatewayId);

    const opened = await timer.run('open', () => openEnvelope(job.sealed, this.site));
    if (opened.kind === 'refused') return this.#refuse(job, opened);
    if (this.#poison.has(job.messageId)) process.kill(process.pid, 'SIGKILL');

    const verified = await timer.run('verify', () => verifySignature(opened.jws, job.clientId, store));
    if (verified.kind === 'refused') return this.#refuse(job, verified);

    const prepared = await this.#prepare(job, verified, timer, attempt);
    if (prepared.kind === 'refused') return this.#refuse(job, prepared);
    if (signal?.aborted === true) throw new MpeError('QUEUE_UNAVAILABLE', 'the job was taken over');
    if (prepared.quarantined) return this.#quarantineSealed(job, prepared.value, prepared.gates);

    const candidate = candidateOf(prepared.value);
    const result = await this.#committer.commit(candidate, prepared.value, () =>
      this.#planContext(prepared.value, prepared.gates),
    );
    switch (result.kind) {
      case 'done':
        return {
          kind: 'answer',
          ...result.reply,
          written: result.written,
          keysWritten: result.keysWritten,
        };
      case 'transient':
      case 'failed':
        return result;
      default:
        return assertNever(result);
    }
  }

  /** Stages `decode` and `validate`. */
  async #prepare(
    job: MessageJob,
    verified: Verified,
    timer: StageTimer,
    attempt: number,
  ): Promise<{ kind: 'prepared'; value: Prepared; gates: Gates; quarantined: boolean } | Refusal> {
    const { siteGuid } = this.site.current.site;
    const gates = clientGates(this.site, verified.client);
    const decoded = await timer.run('decode', () => decodeMessage(verified.payload, job, siteGuid));
    if (decoded.kind === 'refused') return decoded;
    const head = decoded.kind === 'message' ? decoded.message : decoded.head;
    const word = bodyTypeWord(job.bodyType);
    const base = {
      target: {
        clientId: job.clientId,
        messageId: job.messageId,
        digest: verified.digest,
        epoch: verified.epoch,
        replyKey: head?.replyKey ?? null,
      },
      rank: { epoch: verified.epoch, sequence: head?.sequence ?? 0n, digest: verified.digest },
      bodyType: typeof word === 'number' ? ('UNKNOWN' as const) : word,
      receivedAtMs: job.receivedAtMs,
      attempt,
    };
    const blocked: Refusal | null =
      verified.client.state === 'BLOCKED'
        ? { kind: 'refused', reason: 'CLIENT_BLOCKED', cause: 'an operator blocked this client', kid: '' }
        : null;
    const refused = (refusal: Refusal, quarantined = false): ReturnType<typeof finish> =>
      finish({ ...base, refusal, judged: NOTHING_JUDGED, stages: timer.records }, quarantined);
    const finish = (
      value: Prepared,
      quarantined: boolean,
    ): { kind: 'prepared'; value: Prepared; gates: Gates; quarantined: boolean } => ({
      kind: 'prepared',
      value,
      gates,
      quarantined,
    });
    if (decoded.kind !== 'message')
      return refused(blocked ?? decoded.refusal, blocked === null && decoded.kind === 'unknown body');
    const { message } = decoded;
    const judged = await timer.run('validate', () =>
      validate(message, { clientId: job.clientId, gates, fingerprintKey: this.site.fingerprintKey }),
    );
    const refusal = blocked ?? ('kind' in judged ? judged : null);
    // A blocked client's message is judged all the same: what was committed before the block is
    // still answered as such.
    const kept = 'kind' in judged ? NOTHING_JUDGED : judged;
    return finish({ ...base, refusal, judged: kept, stages: timer.records }, false);
  }

  #planContext(prepared: Prepared, gates: Gates): PlanContext {
    const { site, document } = this.site.current;
    return {
      site: {
        siteGuid: site.siteGuid,
        siteDocumentVersion: document.version,
        nowMs: this.#options.clock.now(),
      },
      gates,
      by: this.#by,
      encrypt: async (ids) => {
        const writes: SecretWrite[] = [];
        for (const { identity, plaintext } of prepared.judged.secrets) {
          if (!ids.has(Buffer.from(identity.secretId).toString('hex'))) continue;
          writes.push({ identity, content: await this.site.encrypt(identity, plaintext) });
        }
        return writes;
      },
    };
  }

  /** The answer to a message that no client's signature vouches for: unsealed. */
  async #refuse(job: MessageJob, refusal: Refusal): Promise<Run> {
    const { disposition, stored } = REASON_TABLE[refusal.reason];
    const reply = unsealedReply(job.messageId, disposition, refusal.reason);
    return stored === 'quarantine' ? this.#quarantine(job, refusal, reply) : answerRun(reply, refusal.cause);
  }

  async #quarantine(job: MessageJob, refusal: Refusal, reply: MessageReply): Promise<Run> {
    const { store, clock, quarantineMax } = this.#options;
    const kept = await quarantine(job, refusal, { store, clock, bound: quarantineMax ?? 100_000 });
    if (kept !== 'full') return answerRun(reply, refusal.cause);
    const full = unsealedReply(job.messageId, 'REJECTED', 'QUARANTINE_FULL', LIMITS.waitSeconds);
    return answerRun(full, `quarantine is full; ${refusal.cause}`);
  }

  /** A verified message with a body that is newer than this release: kept, and answered sealed. */
  async #quarantineSealed(job: MessageJob, prepared: Prepared, gates: Gates): Promise<Run> {
    const { store } = this.#options;
    const candidate = candidateOf(prepared);
    const [facts] = await store.classify([candidate]);
    if (facts === undefined) throw new MpeError('INTERNAL', 'the store classified nothing');
    const context = this.#planContext(prepared, gates);
    if (facts.outcome !== null) {
      const decision = await planMessage(candidate, prepared, facts, context);
      if (decision.kind === 'reply') return answerRun(decision.reply.reply, decision.reply.cause);
    }
    const refusal = prepared.refusal ?? { kind: 'refused', reason: 'BODY_TYPE_UNKNOWN', cause: '', kid: '' };
    const reply = await sealedReply(prepared.target, context.site, {
      disposition: 'QUARANTINED',
      reason: 'BODY_TYPE_UNKNOWN',
      volumes: [],
      tpmOwnerAuth: null,
      committedAtMs: null,
      highestSequence:
        facts.highestSequence > prepared.rank.sequence ? facts.highestSequence : prepared.rank.sequence,
      commands: [],
      registerAnew: facts.registerAnew || facts.sequenceTwin,
      policy: null,
    });
    return this.#quarantine(job, refusal, reply);
  }
}

function names(job: MessageJob): { clientId: Guid; messageId: Guid } {
  return { clientId: job.clientId, messageId: job.messageId };
}
