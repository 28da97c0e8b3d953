import { openReply } from '../jose/index.js';
import { isMpeError } from '../ops/errors.js';
import type { MessageReply, ReplyStatement } from '../protocol/client-message.js';
import { decodeReplyStatement } from '../protocol/decode.js';
import { storedRank, type Reason, type StoredDisposition } from '../protocol/vocabulary.js';
import type { Classified, CommitCandidate, OutcomeRow, SecretWrite } from '../store/site-store.js';
import { compareRanks } from '../store/compare-ranks.js';
import type { Decision } from '../store/commit/commit-group.js';
import { clientPolicy } from './client-policy.js';
import { commandsFor } from './commands-for.js';
import type { Gates } from './gates.js';
import { rotationsFor } from './rotations-for.js';
import { sealedReply, type ReplyContent, type ReplySite } from './reply.js';
import { refreshResults, settle, type Settled } from './results.js';
import type { Prepared } from './types.js';

/** What `plan` needs beside the message and the facts. */
export interface PlanContext {
  readonly site: ReplySite;
  readonly gates: Gates;
  /** The process that decides, e.g. `host/4711`. */
  readonly by: string;
  /** Encrypts those of the message's secrets whose id (hex) is in the set. */
  encrypt(secretIds: ReadonlySet<string>): Promise<readonly SecretWrite[]>;
}

/** The answer to a message, with what the operator's log says of it. */
export interface Planned {
  readonly reply: MessageReply;
  readonly cause: string;
}

/** A message as the store takes it. */
export function candidateOf(prepared: Prepared): CommitCandidate {
  const effects = prepared.refusal === null;
  const committedCheckIn =
    effects &&
    prepared.bodyType === 'CHECK_IN' &&
    settle(prepared.judged, { healthy: new Set(), readable: new Set() }).disposition === 'COMMITTED';
  return {
    clientId: prepared.target.clientId,
    messageId: prepared.target.messageId,
    bodyType: prepared.bodyType,
    rank: prepared.rank,
    secrets: effects ? prepared.judged.secrets.map((secret) => secret.identity) : [],
    volumes: effects ? prepared.judged.volumes : [],
    state: effects ? prepared.judged.state : null,
    rotation: effects ? prepared.judged.rotation : null,
    leavesOutcome: !committedCheckIn,
  };
}

/** The verdict over a message that was not decided before, or may move up. */
interface Verdict extends Omit<Settled, 'disposition' | 'reason'> {
  readonly disposition: StoredDisposition;
  readonly reason: Reason;
  readonly cause: string;
}

function judge(prepared: Prepared, facts: Classified): Verdict {
  if (prepared.refusal !== null) {
    const { reason, cause } = prepared.refusal;
    return { volumes: [], tpmOwnerAuth: null, disposition: 'REJECTED', reason, cause };
  }
  if (prepared.judged.rotation !== null && !facts.rotationKnown) {
    const cause = 'the rotation result names no open request of this client';
    const reason = 'ROTATION_REQUEST_UNKNOWN';
    return { volumes: [], tpmOwnerAuth: null, disposition: 'REJECTED', reason, cause };
  }
  return { ...settle(prepared.judged, facts), cause: '' };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** `${volumeId}/${keyId}` of the passwords that a message carries and that count. */
function broughtRefs(prepared: Prepared, counts: (secretId: string) => boolean): Set<string> {
  return new Set(
    prepared.judged.secrets
      .filter(
        ({ identity }) =>
          identity.kind === 'RECOVERY_PASSWORD' && counts(Buffer.from(identity.secretId).toString('hex')),
      )
      .map(({ identity }) => `${identity.volumeId}/${identity.keyId}`),
  );
}

/**
 * Stage `commit`, the decision: from a verified message and what the database knows, what is to be
 * written and what is answered. Called again after every race, with fresh facts. Writes nothing.
 *
 * A stored outcome is final with COMMITTED and may else only move up; an answer never says less
 * than what is stored.
 */
export async function planMessage(
  candidate: CommitCandidate,
  prepared: Prepared,
  facts: Classified,
  context: PlanContext,
): Promise<Decision<Planned>> {
  const stored = facts.outcome;
  const highest =
    facts.highestSequence > prepared.rank.sequence ? facts.highestSequence : prepared.rank.sequence;
  const base = {
    highestSequence: prepared.target.replyKey === null ? facts.highestSequence : highest,
    registerAnew: facts.registerAnew || facts.sequenceTwin,
    policy: prepared.bodyType === 'CHECK_IN' ? clientPolicy(context.gates) : null,
  };
  const answer = async (content: Omit<ReplyContent, keyof typeof base>, cause: string): Promise<Planned> => ({
    reply: await sealedReply(prepared.target, context.site, { ...base, ...content }),
    cause,
  });

  if (stored !== null && !sameBytes(stored.digest, prepared.target.digest)) {
    const reply = await answer(
      {
        disposition: 'REJECTED',
        reason: 'MESSAGE_ID_REUSED',
        volumes: [],
        tpmOwnerAuth: null,
        committedAtMs: null,
        commands: commandsFor(prepared, facts, context.gates, new Set(), context.site.nowMs),
      },
      'the message id was used before for another payload',
    );
    return { kind: 'reply', reply };
  }

  const healthyRefs = broughtRefs(prepared, (id) => facts.healthy.has(id));
  if (stored?.disposition === 'COMMITTED') {
    return { kind: 'reply', reply: await again(stored, 'ALREADY_COMMITTED', 'committed before') };
  }
  if (prepared.bodyType === 'CHECK_IN' && !candidate.leavesOutcome && facts.stateRank !== null) {
    const order = compareRanks(prepared.rank, facts.stateRank);
    // An older check-in may still be the newest that names a volume: the store decides volume by
    // volume, so that every order of arrival comes to the same reports.
    if (order === 0 || (order < 0 && candidate.volumes.length === 0)) {
      const settled = settle(prepared.judged, facts);
      const reply = await answer(
        {
          ...settled,
          disposition: order === 0 ? 'ALREADY_COMMITTED' : 'COMMITTED',
          committedAtMs: order === 0 ? null : context.site.nowMs,
          commands: commandsFor(prepared, facts, context.gates, new Set(), context.site.nowMs),
        },
        order === 0 ? 'the same check-in again' : 'a later check-in is there already: no effect',
      );
      return { kind: 'reply', reply };
    }
  }

  const verdict = judge(prepared, facts);
  const sameAgain =
    stored !== null &&
    (storedRank(verdict.disposition) < storedRank(stored.disposition) ||
      (verdict.disposition === stored.disposition &&
        (verdict.disposition === 'PARTIAL' || verdict.reason === stored.reason)));
  if (sameAgain) {
    if (stored.disposition === 'PARTIAL') {
      return { kind: 'reply', reply: await again(stored, 'PARTIAL', 'the same message again') };
    }
    const reply = await answer(
      {
        ...verdict,
        committedAtMs: null,
        commands: commandsFor(prepared, facts, context.gates, healthyRefs, context.site.nowMs),
      },
      verdict.cause,
    );
    return { kind: 'reply', reply };
  }

  const effects = verdict.disposition === 'COMMITTED' || verdict.disposition === 'PARTIAL';
  const planned = await answer(
    {
      ...verdict,
      committedAtMs: effects ? context.site.nowMs : null,
      commands: commandsFor(
        prepared,
        facts,
        context.gates,
        effects ? broughtRefs(prepared, () => true) : healthyRefs,
        context.site.nowMs,
      ),
    },
    verdict.cause,
  );
  const outcome: OutcomeRow = {
    clientId: candidate.clientId,
    messageId: candidate.messageId,
    digest: prepared.target.digest,
    bodyType: candidate.bodyType,
    epoch: prepared.rank.epoch,
    sequence: prepared.rank.sequence,
    disposition: verdict.disposition,
    reason: verdict.reason,
    sealedReply: planned.reply.sealedReply,
    attempts: (stored?.attempts ?? 0) + prepared.attempt,
    stages: [
      ...prepared.stages,
      { stage: 'commit', atMs: context.site.nowMs, tookMs: 0, by: context.by, note: '' },
    ],
    receivedAtMs: stored?.receivedAtMs ?? prepared.receivedAtMs,
    decidedAtMs: context.site.nowMs,
    decidedBy: context.by,
  };
  const missing = new Set(
    candidate.secrets
      .map((identity) => Buffer.from(identity.secretId).toString('hex'))
      .filter((id) => !facts.healthy.has(id)),
  );
  return {
    kind: 'write',
    reply: planned,
    plan: {
      candidate,
      outcome: candidate.leavesOutcome || stored !== null ? outcome : null,
      outcomeMode: stored === null ? 'insert' : 'move-up',
      secrets: effects && missing.size > 0 ? await context.encrypt(missing) : [],
      effects,
      deliveries: rotationsFor(prepared, facts, context.gates, context.site.nowMs).filter(
        ({ delivered }) => !delivered,
      ),
      atMs: context.site.nowMs,
    },
  };

  /** The stored answer with today's time, commands and readability. */
  async function again(
    row: OutcomeRow,
    disposition: 'ALREADY_COMMITTED' | 'PARTIAL',
    cause: string,
  ): Promise<Planned> {
    const statement = await openStored(row, prepared);
    return answer(
      {
        disposition,
        reason: disposition === 'PARTIAL' ? 'ITEMS_REJECTED' : 'NONE',
        ...(statement === null ? settleAgain(prepared, facts) : refreshed(statement, prepared, facts)),
        committedAtMs: row.decidedAtMs,
        commands: commandsFor(prepared, facts, context.gates, healthyRefs, context.site.nowMs),
      },
      cause,
    );
  }
}

type Items = Pick<ReplyContent, 'volumes' | 'tpmOwnerAuth'>;

function settleAgain(prepared: Prepared, facts: Classified): Items {
  const { volumes, tpmOwnerAuth } = settle(prepared.judged, facts);
  return { volumes, tpmOwnerAuth };
}

/** The items as they were committed, less what became unreadable since. */
function refreshed(statement: ReplyStatement, prepared: Prepared, facts: Classified): Items {
  const tpm = statement.tpmOwnerAuth ?? null;
  // A message that is refused today is not judged, so nothing is known of its secrets: as committed.
  if (prepared.refusal !== null) return { volumes: statement.volumes, tpmOwnerAuth: tpm };
  const judgedTpm = prepared.judged.tpmOwnerAuth;
  const tpmLost =
    tpm?.status === 'COMMITTED' && judgedTpm?.kind === 'secret' && !facts.healthy.has(judgedTpm.secretId);
  return {
    volumes: refreshResults(statement.volumes, prepared.judged, facts),
    tpmOwnerAuth: tpmLost ? { status: 'SECRET_REQUIRED', reason: 'NONE' } : tpm,
  };
}

/** The statement that was sealed with the outcome; null where there is none that opens. */
async function openStored(row: OutcomeRow, prepared: Prepared): Promise<ReplyStatement | null> {
  const { replyKey, messageId } = prepared.target;
  if (replyKey === null || row.sealedReply === '') return null;
  try {
    return decodeReplyStatement(await openReply(row.sealedReply, replyKey, messageId));
  } catch (error) {
    if (isMpeError(error, 'CANNOT_OPEN') || isMpeError(error, 'MALFORMED')) return null;
    throw error;
  }
}
