import type { Guid } from '../../protocol/guid.js';
import { storedRank } from '../../protocol/vocabulary.js';
import type { DeadLetterRow } from '../site-store.js';
import { guid, integer, integerOrNull, text } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

/** A row of MPE_DeadLetters as the engine sees it. */
export function deadLetterFromRow(row: SqlRow): DeadLetterRow {
  return {
    clientId: guid(row, 'ClientId'),
    messageId: guid(row, 'MessageId'),
    bodyType: integer(row, 'BodyType'),
    cause: text(row, 'Cause'),
    detail: text(row, 'Detail'),
    sealed: text(row, 'Sealed'),
    release: text(row, 'ReleaseName'),
    resends: integer(row, 'Resends'),
    deadAtMs: integer(row, 'DeadAt'),
    redrivenAtMs: integerOrNull(row, 'RedrivenAt'),
  };
}

/** The dead letter of a message, or null. */
export function findDeadLetter(c: Connection, clientId: Guid, messageId: Guid): DeadLetterRow | null {
  const row = c.get(
    'SELECT * FROM MPE_DeadLetters WHERE ClientId = ? AND MessageId = ?',
    clientId,
    messageId,
  );
  return row === undefined ? null : deadLetterFromRow(row);
}

/**
 * Writes a dead letter, idempotent on (client, message id). A message that was redriven, or given
 * up by another release, and died again gets its new cause and loses the redrive; otherwise the
 * first row stands. A message that committed meanwhile is not dead: nothing is written. Beyond
 * `bound` rows the oldest leave their sealed text, for the client can send it again.
 */
export function addDeadLetter(c: Connection, row: DeadLetterRow, bound: number): void {
  c.immediate(() => {
    const committed = c.get(
      'SELECT 1 FROM MPE_Outcomes WHERE ClientId = ? AND MessageId = ? AND Disposition = ?',
      row.clientId,
      row.messageId,
      storedRank('COMMITTED'),
    );
    if (committed !== undefined) return;
    c.run(
      `INSERT INTO MPE_DeadLetters (ClientId, MessageId, BodyType, Cause, Detail, Sealed, ReleaseName, Resends,
         DeadAt, RedrivenAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (ClientId, MessageId) DO UPDATE SET
         Cause = excluded.Cause, Detail = excluded.Detail, ReleaseName = excluded.ReleaseName,
         Sealed = CASE excluded.Sealed WHEN '' THEN Sealed ELSE excluded.Sealed END,
         DeadAt = excluded.DeadAt, RedrivenAt = NULL
       WHERE RedrivenAt IS NOT NULL OR ReleaseName <> excluded.ReleaseName`,
      row.clientId,
      row.messageId,
      row.bodyType,
      row.cause,
      row.detail,
      row.sealed,
      row.release,
      row.resends,
      row.deadAtMs,
      row.redrivenAtMs,
    );
    const kept = c.get("SELECT count(*) AS Kept FROM MPE_DeadLetters WHERE Sealed <> ''");
    const excess = kept === undefined ? 0 : integer(kept, 'Kept') - bound;
    if (excess <= 0) return;
    c.run(
      `UPDATE MPE_DeadLetters SET Sealed = '' WHERE rowid IN (
         SELECT rowid FROM MPE_DeadLetters WHERE Sealed <> '' ORDER BY DeadAt, rowid LIMIT ?)`,
      excess,
    );
  });
}

/** Counts a re-send of a dead message; one statement. */
export function countDeadLetterResend(c: Connection, clientId: Guid, messageId: Guid): void {
  c.run(
    'UPDATE MPE_DeadLetters SET Resends = Resends + 1 WHERE ClientId = ? AND MessageId = ?',
    clientId,
    messageId,
  );
}

/** Lets the next delivery run again; false where there is no such dead letter. One statement. */
export function redriveDeadLetter(c: Connection, clientId: Guid, messageId: Guid, atMs: number): boolean {
  const changed = c.run(
    'UPDATE MPE_DeadLetters SET RedrivenAt = ? WHERE ClientId = ? AND MessageId = ?',
    atMs,
    clientId,
    messageId,
  );
  return changed === 1;
}
