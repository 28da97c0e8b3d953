import { storedRank } from '../../protocol/vocabulary.js';
import type { DeadLetterRow } from '../site-store.js';
import { again } from './again.js';
import { guid, integer, text, time, timeOrNull } from './columns.js';
import type { Connection } from './connection.js';
import { inOrderOf, JOIN_MESSAGE_KEYS, messageKeys, type MessageKey } from './message-key.js';
import { guidOf, intOf, textOf, timeOf, wordOf } from './parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from './session.js';
import { takeTurn } from './turn.js';

/** The columns that {@link deadLetterFromRow} reads, of a table `t`. */
export const DEAD_LETTER_COLUMNS = `t.ClientId, t.MessageId, t.BodyType, t.Cause, t.Detail, t.Sealed, t.ReleaseName,
  t.Resends, t.DeadAt, t.RedrivenAt`;

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
    deadAtMs: time(row, 'DeadAt'),
    redrivenAtMs: timeOrNull(row, 'RedrivenAt'),
  };
}

/** Dead letters, null where there is none; same order as given, one round trip. */
export async function findDeadLetters(
  session: Session,
  keys: readonly MessageKey[],
): Promise<(DeadLetterRow | null)[]> {
  const sets = await session.query(
    `SELECT ${DEAD_LETTER_COLUMNS} FROM MPE_DeadLetters t ${JOIN_MESSAGE_KEYS}`,
    { keys: messageKeys(keys) },
  );
  return inOrderOf(keys, firstSet(sets).map(deadLetterFromRow));
}

/**
 * Writes a dead letter, idempotent on (client, message id). A message that was redriven, or given
 * up by another release, and died again gets its new cause and loses the redrive; otherwise the
 * first row stands. A message that committed meanwhile is not dead: nothing is written. Beyond
 * `bound` rows the oldest leave their sealed text, for the client can send it again.
 *
 * One transaction of the site at a time, for the bound; dead letters are rare.
 */
export async function addDeadLetter(
  connection: Connection,
  row: DeadLetterRow,
  bound: number,
): Promise<void> {
  await again('adding a dead letter', () =>
    connection.transaction(async (tx) => {
      await takeTurn(tx, 'mpe/dead-letters');
      const [committed = [], [kept] = []] = await tx.query(WRITE, {
        clientId: guidOf(row.clientId),
        messageId: guidOf(row.messageId),
        bodyType: intOf(row.bodyType),
        cause: wordOf(row.cause),
        detail: textOf(row.detail),
        sealed: wordOf(row.sealed),
        release: wordOf(row.release),
        resends: intOf(row.resends),
        deadAt: timeOf(row.deadAtMs),
        redrivenAt: timeOf(row.redrivenAtMs),
        committed: intOf(storedRank('COMMITTED')),
      });
      const excess = kept === undefined ? 0 : integer(kept, 'Kept') - bound;
      if (committed.length === 0 && excess > 0) await tx.query(EMPTY_OLDEST, { excess: intOf(excess) });
    }),
  );
}

const IS_COMMITTED = `SELECT 1 FROM MPE_Outcomes
  WHERE ClientId = @clientId AND MessageId = @messageId AND Disposition = @committed`;

const WRITE = `
  UPDATE MPE_DeadLetters SET Cause = @cause, Detail = @detail, ReleaseName = @release, DeadAt = @deadAt,
    RedrivenAt = NULL, Sealed = CASE WHEN @sealed = '' THEN Sealed ELSE @sealed END
  WHERE ClientId = @clientId AND MessageId = @messageId
    AND (RedrivenAt IS NOT NULL OR ReleaseName <> @release) AND NOT EXISTS (${IS_COMMITTED});
  INSERT INTO MPE_DeadLetters (ClientId, MessageId, BodyType, Cause, Detail, Sealed, ReleaseName, Resends, DeadAt,
    RedrivenAt)
  SELECT @clientId, @messageId, @bodyType, @cause, @detail, @sealed, @release, @resends, @deadAt, @redrivenAt
  WHERE NOT EXISTS (SELECT 1 FROM MPE_DeadLetters WHERE ClientId = @clientId AND MessageId = @messageId)
    AND NOT EXISTS (${IS_COMMITTED});
  ${IS_COMMITTED};
  SELECT COUNT(*) AS Kept FROM MPE_DeadLetters WHERE HasSealed = 1;`;

const EMPTY_OLDEST = `
  UPDATE MPE_DeadLetters SET Sealed = '' WHERE EXISTS (
    SELECT 1 FROM (SELECT TOP (@excess) d.ClientId, d.MessageId FROM MPE_DeadLetters d WHERE d.HasSealed = 1
                   ORDER BY d.DeadAt, d.ClientId, d.MessageId) o
    WHERE o.ClientId = MPE_DeadLetters.ClientId AND o.MessageId = MPE_DeadLetters.MessageId);`;

/** Counts a re-send of a dead message; one statement. */
export async function countDeadLetterResend(session: Session, key: MessageKey): Promise<void> {
  await session.query(
    'UPDATE MPE_DeadLetters SET Resends = Resends + 1 WHERE ClientId = @clientId AND MessageId = @messageId',
    { clientId: guidOf(key.clientId), messageId: guidOf(key.messageId) },
  );
}

/**
 * Lets the next delivery run again; false where there is no such dead letter. In a transaction: the
 * update has the row locked, so what the second statement sees is what was updated.
 */
export async function redriveDeadLetter(
  connection: Connection,
  key: MessageKey,
  atMs: number,
): Promise<boolean> {
  return again('redriving a dead letter', () =>
    connection.transaction(async (tx) => {
      const sets = await tx.query(
        `UPDATE MPE_DeadLetters SET RedrivenAt = @at WHERE ClientId = @clientId AND MessageId = @messageId;
         SELECT 1 AS Redriven FROM MPE_DeadLetters
         WHERE ClientId = @clientId AND MessageId = @messageId AND RedrivenAt = @at;`,
        { clientId: guidOf(key.clientId), messageId: guidOf(key.messageId), at: timeOf(atMs) },
      );
      return firstRow(sets) !== undefined;
    }),
  );
}
