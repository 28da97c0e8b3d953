import type { Guid } from '../../protocol/guid.js';
import { REASONS, storedRank } from '../../protocol/vocabulary.js';
import { quarantineShare } from '../quarantine-share.js';
import type { QuarantineRow } from '../site-store.js';
import { guid, integer, text, word } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

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
    firstAtMs: integer(row, 'FirstAt'),
    lastAtMs: integer(row, 'LastAt'),
  };
}

/** The quarantined message, or null. */
export function findQuarantined(c: Connection, clientId: Guid, messageId: Guid): QuarantineRow | null {
  const row = c.get('SELECT * FROM MPE_Quarantine WHERE ClientId = ? AND MessageId = ?', clientId, messageId);
  return row === undefined ? null : quarantineFromRow(row);
}

/**
 * Keeps a message sealed. The same message again counts an attempt and takes the newer reason and
 * seal. At the site's bound, or at the client's share of it, nothing new is kept: the caller says so,
 * and the client keeps its copy. A message that committed meanwhile stays processed; it answers `kept`, for it is.
 */
export function quarantine(c: Connection, row: QuarantineRow, bound: number): 'kept' | 'full' {
  return c.immediate(() => {
    const again = c.run(
      `UPDATE MPE_Quarantine SET Attempts = Attempts + 1, LastAt = max(LastAt, ?), Reason = ?, Kid = ?, Sealed = ?
       WHERE ClientId = ? AND MessageId = ?`,
      row.lastAtMs,
      row.reason,
      row.kid,
      row.sealed,
      row.clientId,
      row.messageId,
    );
    if (again === 1) return 'kept';
    const committed = c.get(
      'SELECT 1 FROM MPE_Outcomes WHERE ClientId = ? AND MessageId = ? AND Disposition = ?',
      row.clientId,
      row.messageId,
      storedRank('COMMITTED'),
    );
    if (committed !== undefined) return 'kept';
    const held = c.get('SELECT count(*) AS Held FROM MPE_Quarantine');
    if (held !== undefined && integer(held, 'Held') >= bound) return 'full';
    const own = c.get('SELECT count(*) AS Held FROM MPE_Quarantine WHERE ClientId = ?', row.clientId);
    if (own !== undefined && integer(own, 'Held') >= quarantineShare(bound)) return 'full';
    c.run(
      `INSERT INTO MPE_Quarantine (ClientId, MessageId, BodyType, Reason, Kid, Sealed, Attempts, FirstAt, LastAt)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.clientId,
      row.messageId,
      row.bodyType,
      row.reason,
      row.kid,
      row.sealed,
      row.attempts,
      row.firstAtMs,
      row.lastAtMs,
    );
    return 'kept';
  });
}
