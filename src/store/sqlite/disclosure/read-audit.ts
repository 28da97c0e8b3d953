import { NIL_GUID, type Guid } from '../../../protocol/guid.js';
import type { AuditFilter, AuditHead, AuditKeyType, AuditRow, AuditSource } from '../../disclosure-store.js';
import { bigInteger, bytes, text, textOrNull } from '../columns.js';
import type { Connection, SqlParameter, SqlRow } from '../connection.js';

/** The row of a request, or null. */
export function findAudit(c: Connection, requestId: Guid): AuditRow | null {
  const row = c.get('SELECT * FROM MPE_Audit WHERE RequestId = ?', requestId);
  return row === undefined ? null : auditRow(row);
}

/** The end of the chain as its head says. */
export function auditHead(c: Connection): AuditHead {
  const row = c.get('SELECT Sequence, Hash FROM MPE_AuditHead WHERE Id = 1');
  if (row === undefined) return { sequence: 0n, hash: Buffer.alloc(32) };
  return { sequence: bigInteger(row, 'Sequence'), hash: bytes(row, 'Hash') };
}

/** Rows after a sequence, in order. */
export function auditAfter(c: Connection, sequence: bigint, limit: number): AuditRow[] {
  return c
    .all('SELECT * FROM MPE_Audit WHERE Sequence > ? ORDER BY Sequence LIMIT ?', sequence, limit)
    .map(auditRow);
}

/** Rows of a filter, the newest first. */
export function searchAudit(c: Connection, filter: AuditFilter, limit: number): AuditRow[] {
  const where: string[] = [];
  const values: SqlParameter[] = [];
  const add = (condition: string, ...given: SqlParameter[]): void => {
    where.push(condition);
    values.push(...given);
  };
  const part = (columns: readonly string[], value: string): void => {
    const like = `%${value.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
    add(
      `(${columns.map((column) => String.raw`${column} LIKE ? ESCAPE '\'`).join(' OR ')})`,
      ...columns.map(() => like),
    );
  };
  if (filter.fromMs !== undefined) add('HappenedAt >= ?', filter.fromMs);
  if (filter.toMs !== undefined) add('HappenedAt < ?', filter.toMs);
  if (filter.result !== undefined) add('Result = ?', filter.result);
  if (filter.source !== undefined) add('Source = ?', filter.source);
  if (filter.askedBy !== undefined)
    add(`Source ${filter.askedBy === 'end-user' ? '=' : '<>'} 'Self-Service Portal'`);
  if (filter.keyType !== undefined) add('KeyType = ?', filter.keyType);
  if (filter.before !== undefined) add('Sequence < ?', filter.before);
  if (filter.user !== undefined) {
    const columns = { any: ['HelpdeskUser', 'EndUser'], helpdesk: ['HelpdeskUser'], 'end-user': ['EndUser'] };
    part(columns[filter.user.kind], filter.user.part);
  }
  if (filter.keyId !== undefined) part(['KeyId'], filter.keyId);
  if (filter.machine !== undefined) part(['Machine'], filter.machine);
  const conditions = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
  return c
    .all(`SELECT * FROM MPE_Audit ${conditions} ORDER BY Sequence DESC LIMIT ?`, ...values, limit)
    .map(auditRow);
}

/** Whether somebody was shown a key of a volume. */
export function wasShownTo(c: Connection, actor: string, keyId: Guid, volumeId: Guid): boolean {
  const row = c.get(
    'SELECT 1 FROM MPE_Exposures WHERE KeyId = ? AND VolumeId = ? AND Actor = ? LIMIT 1',
    ...[keyId, volumeId, actor],
  );
  return row !== undefined;
}

/** How far a sink has come. */
export function readSink(c: Connection, sinkId: string): bigint {
  const row = c.get('SELECT Sequence FROM MPE_AuditSinks WHERE SinkId = ?', sinkId);
  return row === undefined ? 0n : bigInteger(row, 'Sequence');
}

/** Keeps how far a sink has come; only forwards. */
export function saveSink(c: Connection, sinkId: string, sequence: bigint, atMs: number): void {
  c.run(
    `INSERT INTO MPE_AuditSinks (SinkId, Sequence, SavedAt) VALUES (?, ?, ?)
     ON CONFLICT (SinkId) DO UPDATE SET Sequence = excluded.Sequence, SavedAt = excluded.SavedAt
     WHERE excluded.Sequence > MPE_AuditSinks.Sequence`,
    sinkId,
    sequence,
    atMs,
  );
}

/**
 * A row as it is. Words are taken as they stand, also where somebody has changed them by hand to what
 * no release writes: verifying must be able to read it and say so.
 */
function auditRow(row: SqlRow): AuditRow {
  return {
    sequence: bigInteger(row, 'Sequence'),
    requestId: (textOrNull(row, 'RequestId') ?? NIL_GUID) as Guid,
    atMs: Number(bigInteger(row, 'HappenedAt')),
    source: text(row, 'Source') as AuditSource,
    result: text(row, 'Result') as AuditRow['result'],
    actor: text(row, 'Actor'),
    helpdeskUser: text(row, 'HelpdeskUser'),
    endUser: text(row, 'EndUser'),
    machine: text(row, 'Machine'),
    keyType: text(row, 'KeyType') as AuditKeyType,
    keyId: text(row, 'KeyId'),
    reason: text(row, 'Reason'),
    ticket: text(row, 'Ticket'),
    detail: text(row, 'Detail'),
    previousHash: bytes(row, 'PreviousHash'),
    hash: bytes(row, 'Hash'),
  };
}
