import { BODY_TYPES, REASONS, STORED_DISPOSITIONS, storedRank } from '../../protocol/vocabulary.js';
import type { OutcomeRow, StageRecord } from '../site-store.js';
import { bigInteger, bytes, guid, integer, json, numbered, text, time, word } from './columns.js';
import { inOrderOf, JOIN_MESSAGE_KEYS, messageKeys, type MessageKey } from './message-key.js';
import { intOf, timeOf } from './parameters.js';
import { firstSet, type Session, type SqlRow } from './session.js';

/** The columns that {@link outcomeFromRow} reads, of a table `t`. */
export const OUTCOME_COLUMNS = `t.ClientId, t.MessageId, t.Digest, t.BodyType, t.Epoch, t.Sequence, t.Disposition,
  t.Reason, t.SealedReply, t.Attempts, t.Stages, t.ReceivedAt, t.DecidedAt, t.DecidedBy`;

/** A row of MPE_Outcomes as the engine sees it. */
export function outcomeFromRow(row: SqlRow): OutcomeRow {
  return {
    clientId: guid(row, 'ClientId'),
    messageId: guid(row, 'MessageId'),
    digest: bytes(row, 'Digest'),
    bodyType: word(row, 'BodyType', [...BODY_TYPES, 'UNKNOWN'] as const),
    epoch: integer(row, 'Epoch'),
    sequence: bigInteger(row, 'Sequence'),
    disposition: numbered(row, 'Disposition', STORED_DISPOSITIONS),
    reason: word(row, 'Reason', REASONS),
    sealedReply: text(row, 'SealedReply'),
    attempts: integer(row, 'Attempts'),
    stages: json<StageRecord[]>(row, 'Stages'),
    receivedAtMs: time(row, 'ReceivedAt'),
    decidedAtMs: time(row, 'DecidedAt'),
    decidedBy: text(row, 'DecidedBy'),
  };
}

/** The outcomes of messages, null where there is none; same order as given, one round trip. */
export async function findOutcomes(
  session: Session,
  keys: readonly MessageKey[],
): Promise<(OutcomeRow | null)[]> {
  const sets = await session.query(`SELECT ${OUTCOME_COLUMNS} FROM MPE_Outcomes t ${JOIN_MESSAGE_KEYS}`, {
    keys: messageKeys(keys),
  });
  return inOrderOf(keys, firstSet(sets).map(outcomeFromRow));
}

/**
 * Removes outcomes decided before `beforeMs`, at most `limit` of them; the caller repeats. With
 * `limit` 1000 a statement stays below the number of locks at which SQL Server locks the whole
 * table. Correctness never rests on an outcome: the same message again finds its keys by content
 * and its reports by rank.
 *
 * @returns how many were removed, counted by what was removed
 */
export async function pruneOutcomes(session: Session, beforeMs: number, limit: number): Promise<number> {
  const sets = await session.query(
    `DELETE TOP (@limit) FROM MPE_Outcomes OUTPUT deleted.MessageId WHERE DecidedAt < @before`,
    { before: timeOf(beforeMs), limit: intOf(limit) },
  );
  return firstSet(sets).length;
}

/**
 * Ends quarantine rows and dead letters of messages that are committed. A message that was kept
 * sealed by one worker in the very moment in which another committed it has both: no constraint of
 * the database can see that, so it is put right afterwards.
 */
export async function resolveKept(session: Session): Promise<void> {
  for (const table of ['MPE_Quarantine', 'MPE_DeadLetters'] as const) {
    await session.query(
      `DELETE FROM ${table} WHERE EXISTS (
         SELECT 1 FROM MPE_Outcomes o
         WHERE o.ClientId = ${table}.ClientId AND o.MessageId = ${table}.MessageId AND o.Disposition = @committed)`,
      { committed: intOf(storedRank('COMMITTED')) },
    );
  }
}
