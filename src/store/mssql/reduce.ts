import { storedRank } from '../../protocol/vocabulary.js';
import type { CommitPlan, OutcomeRow, SecretIdentity } from '../site-store.js';
import { distinct, hexOf, type JsonRow } from './json-rows.js';
import { jsonText } from './json-text.js';
import { sqlTime } from './parameters.js';
import { deliveryRows, reportRows, rotationRows, stateRows } from './reduce-reports.js';
import {
  broughtSecrets,
  keyRow,
  ownerAuthRow,
  proofRows,
  volumeRows,
  type BroughtSecret,
} from './reduce-secrets.js';

/** An outcome; its sealed reply travels apart. `N` is the place of the plan. */
export interface OutcomeJson {
  readonly row: JsonRow;
  readonly sealedReply: string;
}

/**
 * A group as the rows that the statements of a commit take: each row once, the highest rank where
 * rows replace each other, sorted by primary key, so that all writers take their locks in one order.
 */
export interface Reduction {
  readonly outcomes: readonly OutcomeJson[];
  /** Updates of outcomes that are not final. */
  readonly moves: readonly OutcomeJson[];
  /** Every message with its rank; `N` is the place of the plan. */
  readonly messages: readonly JsonRow[];
  /** Ids of all secrets that the group carries: each must be healthy in the end. */
  readonly secretIds: readonly JsonRow[];
  readonly brought: readonly BroughtSecret[];
  readonly volumes: readonly JsonRow[];
  readonly keys: readonly JsonRow[];
  readonly ownerAuths: readonly JsonRow[];
  readonly keyProofs: readonly JsonRow[];
  readonly ownerAuthProofs: readonly JsonRow[];
  readonly reports: readonly JsonRow[];
  readonly states: readonly JsonRow[];
  readonly users: readonly JsonRow[];
  readonly rotations: readonly JsonRow[];
  readonly deliveries: readonly JsonRow[];
  /** Places of plans that share their (client, epoch, sequence) with another message of the group. */
  readonly twins: ReadonlySet<number>;
  /** Messages that are neither kept sealed nor dead any more. */
  readonly resolved: readonly JsonRow[];
}

/** Reduces plans; pure. The plans are valid in the sense of `refusalOf`. */
export function reduce(plans: readonly CommitPlan[]): Reduction {
  const effective = plans.filter((plan) => plan.effects);
  const identities = effective.flatMap((plan) => plan.candidate.secrets);
  const brought = broughtSecrets(plans);
  const proofs = proofRows(effective);
  const isOwnerAuth = (kind: SecretIdentity['kind']): boolean => kind === 'TPM_OWNER_AUTH';
  return {
    outcomes: outcomeRows(plans, 'insert'),
    moves: outcomeRows(plans, 'move-up'),
    messages: plans.map(({ candidate: { clientId, messageId, rank } }, n) => ({
      N: n,
      ClientId: clientId,
      MessageId: messageId,
      Epoch: rank.epoch,
      Sequence: rank.sequence,
    })),
    secretIds: distinct(
      [...identities, ...brought.map((secret) => secret.identity)].map(({ secretId }) => ({
        SecretId: hexOf(secretId),
      })),
      ['SecretId'],
    ),
    brought,
    volumes: volumeRows(effective),
    keys: brought.filter(({ identity }) => !isOwnerAuth(identity.kind)).map(keyRow),
    ownerAuths: brought.filter(({ identity }) => isOwnerAuth(identity.kind)).map(ownerAuthRow),
    keyProofs: proofs.filter(({ kind }) => !isOwnerAuth(kind)).map(({ row }) => row),
    ownerAuthProofs: proofs.filter(({ kind }) => isOwnerAuth(kind)).map(({ row }) => row),
    reports: reportRows(effective),
    ...stateRows(effective),
    rotations: rotationRows(plans),
    deliveries: deliveryRows(plans),
    twins: twinsOf(plans),
    resolved: distinct(
      plans
        .filter(({ outcome }) => outcome?.disposition !== 'QUARANTINED')
        .map(({ candidate }) => ({ ClientId: candidate.clientId, MessageId: candidate.messageId })),
      ['ClientId', 'MessageId'],
    ),
  };
}

function outcomeRows(plans: readonly CommitPlan[], mode: CommitPlan['outcomeMode']): OutcomeJson[] {
  const rows = plans.flatMap(({ outcome, outcomeMode }, n) =>
    outcome !== null && outcomeMode === mode ? [{ outcome, n }] : [],
  );
  const key = ({ outcome }: (typeof rows)[number]): string => `${outcome.clientId}/${outcome.messageId}`;
  return rows
    .sort((a, b) => (key(a) < key(b) ? -1 : 1))
    .map(({ outcome, n }) => ({ row: outcomeRow(outcome, n), sealedReply: outcome.sealedReply }));
}

function outcomeRow(row: OutcomeRow, n: number): JsonRow {
  return {
    N: n,
    ClientId: row.clientId,
    MessageId: row.messageId,
    Digest: row.digest,
    BodyType: row.bodyType,
    Epoch: row.epoch,
    Sequence: row.sequence,
    Disposition: storedRank(row.disposition),
    Reason: row.reason,
    Attempts: row.attempts,
    Stages: row.stages,
    ReceivedAt: sqlTime(row.receivedAtMs),
    DecidedAt: sqlTime(row.decidedAtMs),
    DecidedBy: jsonText(row.decidedBy),
  };
}

function twinsOf(plans: readonly CommitPlan[]): Set<number> {
  const bySequence = new Map<string, number[]>();
  plans.forEach(({ candidate: { clientId, rank } }, n) => {
    if (rank.sequence === 0n) return;
    const place = `${clientId}/${rank.epoch}/${rank.sequence}`;
    bySequence.set(place, [...(bySequence.get(place) ?? []), n]);
  });
  return new Set([...bySequence.values()].filter((some) => some.length > 1).flat());
}
