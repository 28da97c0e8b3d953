import type { Guid } from '../../protocol/guid.js';
import { BODY_TYPES, REASONS, STORED_DISPOSITIONS, storedRank } from '../../protocol/vocabulary.js';
import type { OutcomeRow, StageRecord } from '../site-store.js';
import { bigInteger, bytes, guid, integer, json, numbered, text, word } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

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
    receivedAtMs: integer(row, 'ReceivedAt'),
    decidedAtMs: integer(row, 'DecidedAt'),
    decidedBy: text(row, 'DecidedBy'),
  };
}

/** The outcome of a message of this client, or null. */
export function findOutcome(c: Connection, clientId: Guid, messageId: Guid): OutcomeRow | null {
  const row = c.get('SELECT * FROM MPE_Outcomes WHERE ClientId = ? AND MessageId = ?', clientId, messageId);
  return row === undefined ? null : outcomeFromRow(row);
}

/**
 * The fence: a plain insert without a filter, first in its savepoint. Its unique violation means
 * that someone else decided this message, and comes through as the driver's error.
 */
export function insertOutcome(c: Connection, row: OutcomeRow): boolean {
  const inserted = c.run(
    `INSERT INTO MPE_Outcomes (ClientId, MessageId, Digest, BodyType, Epoch, Sequence, Disposition,
       Reason, SealedReply, Attempts, Stages, ReceivedAt, DecidedAt, DecidedBy)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.clientId,
    row.messageId,
    row.digest,
    row.bodyType,
    row.epoch,
    row.sequence,
    storedRank(row.disposition),
    row.reason,
    row.sealedReply,
    row.attempts,
    JSON.stringify(row.stages),
    row.receivedAtMs,
    row.decidedAtMs,
    row.decidedBy,
  );
  return inserted === 1;
}

/**
 * Updates a non-final outcome of the same message, never downwards. The first time at a
 * disposition stays where the disposition does; attempts only grow.
 *
 * @returns false where the row is gone, final, higher, or of another digest: someone else decided.
 */
export function moveOutcomeUp(c: Connection, row: OutcomeRow): boolean {
  const disposition = storedRank(row.disposition);
  const changed = c.run(
    `UPDATE MPE_Outcomes SET
       DecidedAt = CASE WHEN Disposition = ?1 THEN DecidedAt ELSE ?2 END,
       Disposition = ?1, Reason = ?3, SealedReply = ?4, Attempts = max(Attempts + 1, ?5), Stages = ?6,
       DecidedBy = ?7, Epoch = ?8, Sequence = ?9, BodyType = ?10
     WHERE ClientId = ?11 AND MessageId = ?12 AND Digest = ?13 AND Disposition <= ?1 AND Disposition < 3`,
    disposition,
    row.decidedAtMs,
    row.reason,
    row.sealedReply,
    row.attempts,
    JSON.stringify(row.stages),
    row.decidedBy,
    row.epoch,
    row.sequence,
    row.bodyType,
    row.clientId,
    row.messageId,
    row.digest,
  );
  return changed === 1;
}

/**
 * Removes outcomes decided before `beforeMs`, at most `limit` of them; the caller repeats, so that
 * no transaction holds the lock for long. Correctness never rests on an outcome: the same message
 * again finds its keys by content and its reports by rank.
 */
export function pruneOutcomes(c: Connection, beforeMs: number, limit: number): number {
  return c.immediate(() =>
    c.run(
      `DELETE FROM MPE_Outcomes WHERE rowid IN (
         SELECT rowid FROM MPE_Outcomes WHERE DecidedAt < ? ORDER BY DecidedAt LIMIT ?)`,
      beforeMs,
      limit,
    ),
  );
}
