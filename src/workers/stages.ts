import type { Clock } from '../ops/clock.js';
import { assertNever, MpeError } from '../ops/errors.js';
import type { Metrics } from '../ops/metrics.js';
import type { MessageReply } from '../protocol/client-message.js';
import { LIMITS, REASON_TABLE } from '../protocol/vocabulary.js';
import { bodyTypeWord } from '../protocol/wire-enums.js';
import type { MessageJob } from '../queue/index.js';
import type { SecretWrite, SiteStore } from '../store/site-store.js';
import { clientGates } from './client-gates.js';
import type { GroupCommitter } from './commit.js';
import { decodeMessage } from './decode.js';
import type { Gates } from './gates.js';
import { openEnvelope } from './open.js';
import { candidateOf, planMessage, type PlanContext } from './plan.js';
import { quarantine } from './quarantine.js';
import { answerRun, type Run } from './run.js';
import { sealedReply, unsealedReply } from './reply.js';
import type { SiteContext } from './site-context.js';
import { StageTimer } from './stage-timer.js';
import { NOTHING_JUDGED, type Prepared, type Refusal, type Verified } from './types.js';
import { validate } from './validate.js';
import { verifySignature } from './verify.js';

/** What the stages work with: the same for every message of a pipeline. */
export interface StagesContext {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly site: SiteContext;
  readonly metrics: Metrics;
  readonly committer: GroupCommitter;
  /** Name of this process. */
  readonly by: string;
  readonly quarantineMax: number;
  /** Message ids that kill this process when it opens them. */
  readonly poison: ReadonlySet<string>;
}

/**
 * Runs a message through its stages once: open, verify, decode, validate, commit.
 *
 * @throws MpeError whatever the database or a handler throws: the caller tries again
 */
export async function runStages(
  job: MessageJob,
  attempt: number,
  signal: AbortSignal | undefined,
  context: StagesContext,
): Promise<Run> {
  const { site, store, clock } = context;
  const timer = new StageTimer(clock, context.by, context.metrics);
  timer.received(job.receivedAtMs, job.gatewayId);

  const opened = await timer.run('open', () => openEnvelope(job.sealed, site));
  if (opened.kind === 'refused') return answerRefusal(job, opened, context);
  if (context.poison.has(job.messageId)) process.kill(process.pid, 'SIGKILL');

  const verified = await timer.run('verify', () => verifySignature(opened.jws, job.clientId, store));
  if (verified.kind === 'refused') return answerRefusal(job, verified, context);

  const prepared = await prepare(job, verified, timer, attempt, site);
  if (prepared.kind === 'refused') return answerRefusal(job, prepared, context);
  if (signal?.aborted === true) throw new MpeError('QUEUE_UNAVAILABLE', 'the job was taken over');
  if (prepared.quarantined) return quarantineSealed(job, prepared.value, prepared.gates, context);

  const candidate = candidateOf(prepared.value);
  const result = await context.committer.commit(candidate, prepared.value, () =>
    planContext(prepared.value, prepared.gates, context),
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

/** A message that `validate` has judged. */
interface PreparedRun {
  readonly kind: 'prepared';
  readonly value: Prepared;
  readonly gates: Gates;
  /** Verified, and with a body that this release does not know yet. */
  readonly quarantined: boolean;
}

/** Stages `decode` and `validate`. */
async function prepare(
  job: MessageJob,
  verified: Verified,
  timer: StageTimer,
  attempt: number,
  site: SiteContext,
): Promise<PreparedRun | Refusal> {
  const { siteGuid } = site.current.site;
  const gates = clientGates(site, verified.client);
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
  const finish = (value: Prepared, quarantined: boolean): PreparedRun => ({
    kind: 'prepared',
    value,
    gates,
    quarantined,
  });
  if (decoded.kind !== 'message')
    return refused(blocked ?? decoded.refusal, blocked === null && decoded.kind === 'unknown body');
  const { message } = decoded;
  const judged = await timer.run('validate', () =>
    validate(message, { clientId: job.clientId, gates, fingerprintKey: site.fingerprintKey }),
  );
  const refusal = blocked ?? ('kind' in judged ? judged : null);
  // A blocked client's message is judged all the same: what was committed before the block is
  // still answered as such.
  const kept = 'kind' in judged ? NOTHING_JUDGED : judged;
  return finish({ ...base, refusal, judged: kept, stages: timer.records }, false);
}

function planContext(prepared: Prepared, gates: Gates, context: StagesContext): PlanContext {
  const { site, document } = context.site.current;
  return {
    site: {
      siteGuid: site.siteGuid,
      siteDocumentVersion: document.version,
      nowMs: context.clock.now(),
    },
    gates,
    by: context.by,
    encrypt: async (ids) => {
      const writes: SecretWrite[] = [];
      for (const { identity, plaintext } of prepared.judged.secrets) {
        if (!ids.has(Buffer.from(identity.secretId).toString('hex'))) continue;
        writes.push({ identity, content: await context.site.encrypt(identity, plaintext) });
      }
      return writes;
    },
  };
}

/** The answer to a message that no client's signature vouches for: unsealed. */
async function answerRefusal(job: MessageJob, refusal: Refusal, context: StagesContext): Promise<Run> {
  const { disposition, stored } = REASON_TABLE[refusal.reason];
  const reply = unsealedReply(job.messageId, disposition, refusal.reason);
  return stored === 'quarantine' ? keepSealed(job, refusal, reply, context) : answerRun(reply, refusal.cause);
}

/** Keeps a message sealed, within the site's bound. */
async function keepSealed(
  job: MessageJob,
  refusal: Refusal,
  reply: MessageReply,
  { store, clock, quarantineMax }: StagesContext,
): Promise<Run> {
  const kept = await quarantine(job, refusal, { store, clock, bound: quarantineMax });
  if (kept !== 'full') return answerRun(reply, refusal.cause);
  const full = unsealedReply(job.messageId, 'REJECTED', 'QUARANTINE_FULL', LIMITS.waitSeconds);
  return answerRun(full, `quarantine is full; ${refusal.cause}`);
}

/** A verified message with a body that is newer than this release: kept, and answered sealed. */
async function quarantineSealed(
  job: MessageJob,
  prepared: Prepared,
  gates: Gates,
  context: StagesContext,
): Promise<Run> {
  const candidate = candidateOf(prepared);
  const [facts] = await context.store.classify([candidate]);
  if (facts === undefined) throw new MpeError('INTERNAL', 'the store classified nothing');
  const plan = planContext(prepared, gates, context);
  if (facts.outcome !== null) {
    const decision = await planMessage(candidate, prepared, facts, plan);
    if (decision.kind === 'reply') return answerRun(decision.reply.reply, decision.reply.cause);
  }
  const refusal = prepared.refusal ?? { kind: 'refused', reason: 'BODY_TYPE_UNKNOWN', cause: '', kid: '' };
  const reply = await sealedReply(prepared.target, plan.site, {
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
  return keepSealed(job, refusal, reply, context);
}
