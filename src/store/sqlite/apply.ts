/**
 * Writes plans: one transaction a call, a savepoint a message.
 *
 * What holds, and why:
 *  * The outcome row goes in first and plainly. Its unique violation, or a move-up that finds no
 *    row to move, answers `raced`, and the savepoint takes back everything of that message.
 *  * BEGIN IMMEDIATE holds the write lock, so what a savepoint reads (healthy generations, the next
 *    generation) cannot change before the commit. Constraints decide all the same.
 *  * A plan was made from what `classify` saw. Where a secret that it took for healthy is no longer
 *    so, the message is `raced`: COMMITTED must mean readable.
 *  * A data key that is not in the database concerns the whole process: the transaction is given up.
 *  * An error of one message (a check, a foreign key, a value that the driver refuses) is that
 *    message's `failed`; its neighbours are written.
 *  * Crash before COMMIT: nothing happened. Crash after COMMIT, or COMMIT's answer lost: the caller
 *    classifies again and finds the outcome.
 */
import { secretKindNumber, type SecretKind } from '../../secrets/types.js';
import { dataKeyMissing } from '../data-key-missing.js';
import type { ApplyResult, CommitPlan, SecretWrite } from '../site-store.js';
import { hasSequenceTwin, isHealthy } from './classify.js';
import { integer } from './columns.js';
import type { Connection } from './connection.js';
import { isForeignKeyViolation, isTransient, isUniqueViolation, toStoreError } from './errors.js';
import { isForeignClaim } from '../foreign-claim.js';
import { flagClone } from './flag-clone.js';
import { insertOutcome, moveOutcomeUp } from './outcomes.js';
import { writeClaim, writeForeignClaim } from './rotation/write-claim.js';
import { upsertReports } from './upsert-reports.js';
import { upsertState } from './upsert-state.js';

/** Undoes one message's savepoint without being an error. */
class Raced extends Error {}

/**
 * Applies plans in one durable transaction; answers in their order.
 *
 * @throws what the driver throws where the transaction as a whole fails.
 */
export function apply(c: Connection, plans: readonly CommitPlan[]): ApplyResult[] {
  return c.immediate(() => plans.map((plan) => applyOne(c, plan)));
}

function applyOne(c: Connection, plan: CommitPlan): ApplyResult {
  try {
    return { kind: 'applied', keysWritten: c.savepoint(() => writeMessage(c, plan)) };
  } catch (error) {
    // Without a transaction there is nothing left to add the others to; a full disk concerns all.
    if (!c.db.inTransaction || isTransient(error)) throw error;
    if (error instanceof Raced || isUniqueViolation(error, 'MPE_Outcomes')) return { kind: 'raced' };
    if (isForeignKeyViolation(error) && lacksDataKey(c, plan))
      throw dataKeyMissing('writing a message', error, {});
    return { kind: 'failed', error: toStoreError(error, 'writing a message') };
  }
}

function lacksDataKey(c: Connection, { secrets }: CommitPlan): boolean {
  return secrets.some(
    ({ content }) =>
      content.form === 'SEALED' &&
      c.get('SELECT 1 FROM MPE_DataKeys WHERE DataKeyId = ?', content.dataKeyId) === undefined,
  );
}

/** Everything of one message; returns the number of generations written: new keys and successors. */
function writeMessage(c: Connection, plan: CommitPlan): number {
  const { candidate, outcome } = plan;
  const { clientId, messageId, rank } = candidate;
  // Before the effects: a check-in that outranks its twin replaces the rows that tell of it.
  const twin = hasSequenceTwin(c, clientId, messageId, rank);
  if (outcome !== null) {
    const written = plan.outcomeMode === 'insert' ? insertOutcome(c, outcome) : moveOutcomeUp(c, outcome);
    if (!written) throw new Raced();
  }
  const keysWritten = plan.effects ? writeEffects(c, plan) : 0;
  if (isForeignClaim(plan) && candidate.rotation !== null)
    writeForeignClaim(c, candidate, candidate.rotation, plan.atMs);
  for (const { requestId, round } of plan.deliveries ?? []) {
    c.run(
      `INSERT INTO MPE_RotationDeliveries (RequestId, ClientId, Round, FirstDeliveredAt) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      requestId,
      clientId,
      round,
      plan.atMs,
    );
  }
  if (twin) {
    flagClone(c, clientId, rank.epoch, plan.atMs, `two messages have sequence ${rank.sequence.toString()}`);
  }
  // A message that has its outcome is neither kept sealed nor dead any more.
  if (outcome?.disposition !== 'QUARANTINED') {
    c.run('DELETE FROM MPE_Quarantine WHERE ClientId = ? AND MessageId = ?', clientId, messageId);
    c.run('DELETE FROM MPE_DeadLetters WHERE ClientId = ? AND MessageId = ?', clientId, messageId);
  }
  return keysWritten;
}

function writeEffects(c: Connection, plan: CommitPlan): number {
  const { candidate, atMs } = plan;
  const volumes = new Set(candidate.volumes.map((volume) => volume.volumeId));
  for (const secret of candidate.secrets) {
    if (secret.kind !== 'TPM_OWNER_AUTH') volumes.add(secret.volumeId);
  }
  for (const volumeId of volumes) {
    c.run(
      'INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) VALUES (?, ?) ON CONFLICT DO NOTHING',
      volumeId,
      atMs,
    );
  }
  let keysWritten = 0;
  for (const secret of plan.secrets) keysWritten += writeSecret(c, secret, atMs);
  for (const secret of candidate.secrets) {
    if (!isHealthy(c, secret.secretId)) throw new Raced();
    c.run(
      `INSERT INTO ${TABLES[secret.kind].proofs} (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      candidate.clientId,
      secret.secretId,
      candidate.messageId,
      candidate.rank.epoch,
      candidate.rank.sequence,
      atMs,
    );
  }
  upsertReports(c, candidate, atMs);
  if (candidate.state !== null) upsertState(c, candidate, candidate.state, atMs);
  if (candidate.rotation !== null) writeClaim(c, candidate, candidate.rotation, atMs);
  return keysWritten;
}

/** Where a kind of secret lives. Names are of this file alone, never of input. */
const TABLES = {
  RECOVERY_PASSWORD: { secrets: 'MPE_KeySecrets', proofs: 'MPE_KeyProofs' },
  KEY_PACKAGE: { secrets: 'MPE_KeySecrets', proofs: 'MPE_KeyProofs' },
  TPM_OWNER_AUTH: { secrets: 'MPE_TpmOwnerAuthSecrets', proofs: 'MPE_TpmOwnerAuthProofs' },
} as const satisfies Record<SecretKind, { secrets: string; proofs: string }>;

/** The identity where it is new, the next generation where none is healthy. */
function writeSecret(c: Connection, { identity, content }: SecretWrite, atMs: number): number {
  // A worker that does not know the site's certificate yet: it reads the site document again.
  if (content.form === 'PLAIN' && c.get('SELECT 1 FROM MPE_DataKeys LIMIT 1') !== undefined)
    throw new Raced();
  if (identity.kind === 'TPM_OWNER_AUTH') {
    c.run(
      `INSERT INTO MPE_TpmOwnerAuths (SecretId, ClientId, FingerprintKeyId, Fingerprint, FirstStoredAt)
           VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      identity.secretId,
      identity.keyId,
      identity.fingerprintKeyId,
      identity.fingerprint,
      atMs,
    );
  } else {
    c.run(
      `INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint,
             FirstStoredAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      identity.secretId,
      secretKindNumber(identity.kind),
      identity.keyId,
      identity.keyId.slice(0, 8),
      identity.volumeId,
      identity.fingerprintKeyId,
      identity.fingerprint,
      atMs,
    );
  }
  if (isHealthy(c, identity.secretId)) return 0;
  const table = TABLES[identity.kind].secrets;
  const next = c.get(
    `SELECT coalesce(max(Generation), 0) + 1 AS Next FROM ${table} WHERE SecretId = ?`,
    identity.secretId,
  );
  c.run(
    `INSERT INTO ${table} (SecretId, Generation, Form, DataKeyId, Content, StoredAt) VALUES (?, ?, ?, ?, ?, ?)`,
    identity.secretId,
    next === undefined ? 1 : integer(next, 'Next'),
    content.form === 'PLAIN' ? 1 : 2,
    content.form === 'PLAIN' ? null : content.dataKeyId,
    content.bytes,
    atMs,
  );
  return 1;
}
