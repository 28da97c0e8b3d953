import { REASONS, storedRank } from '../../protocol/vocabulary.js';
import { quarantineShare } from '../quarantine-share.js';
import type { QuarantineRow } from '../site-store.js';
import { again } from './again.js';
import { guid, integer, text, time, word } from './columns.js';
import type { Connection } from './connection.js';
import { inOrderOf, JOIN_MESSAGE_KEYS, messageKeys, type MessageKey } from './message-key.js';
import { guidOf, intOf, timeOf, wordOf } from './parameters.js';
import { firstSet, type Session, type SqlParameters, type SqlRow } from './session.js';
import { takeTurn } from './turn.js';

/** The columns that {@link quarantineFromRow} reads, of a table `t`. */
export const QUARANTINE_COLUMNS =
  't.ClientId, t.MessageId, t.BodyType, t.Reason, t.Kid, t.Sealed, t.Attempts, t.FirstAt, t.LastAt';

/** A row of MPE_Quarantine as the engine sees it. */
export function quarantineFromRow(row: SqlRow): QuarantineRow {
  return {
    clientId: guid(row, 'ClientId'),
    messageId: guid(row, 'MessageId'),
    bodyType: integer(row, 'BodyType'),
    reason: word(row, 'Reason', REASONS),
    kid: text(row, 'Kid'),
    sealed: text(row, 'Sealed'),
    attempts: integer(row, 'Attempts'),
    firstAtMs: time(row, 'FirstAt'),
    lastAtMs: time(row, 'LastAt'),
  };
}

/** Quarantined messages, null where there is none; same order as given, one round trip. */
export async function findQuarantined(
  session: Session,
  keys: readonly MessageKey[],
): Promise<(QuarantineRow | null)[]> {
  const sets = await session.query(
    `SELECT ${QUARANTINE_COLUMNS} FROM MPE_Quarantine t ${JOIN_MESSAGE_KEYS}`,
    {
      keys: messageKeys(keys),
    },
  );
  return inOrderOf(keys, firstSet(sets).map(quarantineFromRow));
}

/**
 * Keeps a message sealed. The same message again counts an attempt and takes the newer reason and
 * seal. At the site's bound, or at the client's share of it, nothing new is kept: the caller says so,
 * and the client keeps its copy. A message that committed meanwhile stays processed; it answers `kept`, for it is.
 *
 * One round trip decides all but a new row. New rows are written by one transaction at a time, which
 * counts once more in its turn, so that the bound holds exactly.
 */
export async function quarantine(
  connection: Connection,
  row: QuarantineRow,
  bound: number,
): Promise<'kept' | 'full'> {
  return again('quarantining a message', async () => {
    const seen = await look(connection, row, bound);
    if (seen !== 'room') return seen;
    return connection.transaction(async (tx) => {
      await takeTurn(tx, 'mpe/quarantine');
      const now = await look(tx, row, bound);
      if (now !== 'room') return now;
      await tx.query(INSERT_ROW, parameters(row));
      return 'kept';
    });
  });
}

/** Counts an attempt of a message that is kept already; else says whether there is room. */
async function look(session: Session, row: QuarantineRow, bound: number): Promise<'kept' | 'full' | 'room'> {
  const [kept = [], committed = [], [held] = []] = await session.query(COUNT_ATTEMPT, {
    ...parameters(row),
    committed: intOf(storedRank('COMMITTED')),
  });
  if (kept.length > 0 || committed.length > 0) return 'kept';
  if (held === undefined) return 'room';
  const full = integer(held, 'Held') >= bound || integer(held, 'Own') >= quarantineShare(bound);
  return full ? 'full' : 'room';
}

const COUNT_ATTEMPT = `
  UPDATE MPE_Quarantine SET Attempts = Attempts + 1, Reason = @reason, Kid = @kid, Sealed = @sealed,
    LastAt = CASE WHEN LastAt < @lastAt THEN @lastAt ELSE LastAt END
  WHERE ClientId = @clientId AND MessageId = @messageId;
  SELECT 1 AS Kept FROM MPE_Quarantine WHERE ClientId = @clientId AND MessageId = @messageId;
  SELECT 1 AS Committed FROM MPE_Outcomes
  WHERE ClientId = @clientId AND MessageId = @messageId AND Disposition = @committed;
  SELECT (SELECT COUNT(*) FROM MPE_Quarantine) AS Held,
    (SELECT COUNT(*) FROM MPE_Quarantine WHERE ClientId = @clientId) AS Own;`;

const INSERT_ROW = `
  INSERT INTO MPE_Quarantine (ClientId, MessageId, BodyType, Reason, Kid, Sealed, Attempts, FirstAt, LastAt)
  VALUES (@clientId, @messageId, @bodyType, @reason, @kid, @sealed, @attempts, @firstAt, @lastAt);`;

const parameters = (row: QuarantineRow): SqlParameters => ({
  clientId: guidOf(row.clientId),
  messageId: guidOf(row.messageId),
  bodyType: intOf(row.bodyType),
  reason: wordOf(row.reason),
  kid: wordOf(row.kid),
  sealed: wordOf(row.sealed),
  attempts: intOf(row.attempts),
  firstAt: timeOf(row.firstAtMs),
  lastAt: timeOf(row.lastAtMs),
});
