import { NIL_GUID, type Guid } from '../../../protocol/guid.js';
import type { AuditFilter, AuditHead, AuditKeyType, AuditRow, AuditSource } from '../../disclosure-store.js';
import { again } from '../again.js';
import { bigInteger, bytes, guidOrNull, integer, text, time } from '../columns.js';
import type { Connection } from '../connection.js';
import { bigintOf, guidOf, intOf, textOf, timeOf, wordOf, type SqlParameters } from '../parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from '../session.js';

const COLUMNS = `Sequence, HappenedAt, Source, Result, HelpdeskUser, EndUser, Machine, KeyType, KeyId, Reason, Ticket,
  Detail, PreviousHash, Hash, RequestId, Actor`;

/** The row of a request, or null. */
export async function findAudit(session: Session, requestId: Guid): Promise<AuditRow | null> {
  const row = firstRow(
    await session.query(`SELECT ${COLUMNS} FROM MPE_Audit WHERE RequestId = @requestId`, {
      requestId: guidOf(requestId),
    }),
  );
  return row === undefined ? null : auditRow(row);
}

/** The end of the chain as its head says. */
export async function auditHead(session: Session): Promise<AuditHead> {
  const row = firstRow(await session.query('SELECT Sequence, Hash FROM MPE_AuditHead WHERE Id = 1'));
  if (row === undefined) return { sequence: 0n, hash: Buffer.alloc(32) };
  return { sequence: bigInteger(row, 'Sequence'), hash: bytes(row, 'Hash') };
}

/** Rows after a sequence, in order. */
export async function auditAfter(session: Session, sequence: bigint, limit: number): Promise<AuditRow[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) ${COLUMNS} FROM MPE_Audit WHERE Sequence > @sequence ORDER BY Sequence`,
    { limit: intOf(limit), sequence: bigintOf(sequence) },
  );
  return firstSet(sets).map(auditRow);
}

/** Conditions of a filter; parts are compared without case, as SQLite compares them. */
const CONDITIONS = {
  from: 'HappenedAt >= @from',
  to: 'HappenedAt < @to',
  result: 'Result = @result',
  source: 'Source = @source',
  askedByEndUser: `Source = N'Self-Service Portal'`,
  askedByHelpdesk: `Source <> N'Self-Service Portal'`,
  keyType: 'KeyType = @keyType',
  before: 'Sequence < @before',
  any: `(CHARINDEX(@any, LOWER(HelpdeskUser)) > 0 OR CHARINDEX(@any, LOWER(EndUser)) > 0)`,
  helpdesk: 'CHARINDEX(@helpdesk, LOWER(HelpdeskUser)) > 0',
  endUser: 'CHARINDEX(@endUser, LOWER(EndUser)) > 0',
  keyId: 'CHARINDEX(@keyId, LOWER(KeyId)) > 0',
  machine: 'CHARINDEX(@machine, LOWER(Machine)) > 0',
} as const;

/** Rows of a filter, the newest first. */
export async function searchAudit(session: Session, filter: AuditFilter, limit: number): Promise<AuditRow[]> {
  const given: Record<string, SqlParameters[string]> = {};
  if (filter.fromMs !== undefined) given['from'] = timeOf(filter.fromMs);
  if (filter.toMs !== undefined) given['to'] = timeOf(filter.toMs);
  if (filter.result !== undefined) given['result'] = wordOf(filter.result);
  if (filter.source !== undefined) given['source'] = textOf(filter.source);
  if (filter.keyType !== undefined) given['keyType'] = textOf(filter.keyType);
  if (filter.before !== undefined) given['before'] = bigintOf(filter.before);
  if (filter.user !== undefined) {
    const name = { any: 'any', helpdesk: 'helpdesk', 'end-user': 'endUser' }[filter.user.kind];
    given[name] = textOf(filter.user.part.toLowerCase());
  }
  if (filter.keyId !== undefined) given['keyId'] = textOf(filter.keyId.toLowerCase());
  if (filter.machine !== undefined) given['machine'] = textOf(filter.machine.toLowerCase());
  const where: string[] = Object.keys(given).map((name) => CONDITIONS[name as keyof typeof CONDITIONS]);
  if (filter.askedBy !== undefined)
    where.push(CONDITIONS[filter.askedBy === 'end-user' ? 'askedByEndUser' : 'askedByHelpdesk']);
  const sets = await session.query(
    `SELECT TOP (@limit) ${COLUMNS} FROM MPE_Audit
     ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`} ORDER BY Sequence DESC`,
    { ...given, limit: intOf(limit) },
  );
  return firstSet(sets).map(auditRow);
}

/** Whether somebody was shown a key of a volume. */
export async function wasShownTo(
  session: Session,
  actor: string,
  keyId: Guid,
  volumeId: Guid,
): Promise<boolean> {
  const sets = await session.query(
    `SELECT COUNT(*) AS Shown FROM MPE_Exposures
     WHERE KeyId = @keyId AND VolumeId = @volumeId AND Actor = @actor`,
    { keyId: guidOf(keyId), volumeId: guidOf(volumeId), actor: textOf(actor) },
  );
  const row = firstRow(sets);
  return row !== undefined && integer(row, 'Shown') > 0;
}

/** How far a sink has come. */
export async function readSink(session: Session, sinkId: string): Promise<bigint> {
  const row = firstRow(
    await session.query('SELECT Sequence FROM MPE_AuditSinks WHERE SinkId = @sinkId', {
      sinkId: wordOf(sinkId),
    }),
  );
  return row === undefined ? 0n : bigInteger(row, 'Sequence');
}

/** Keeps how far a sink has come; only forwards. */
export async function saveSink(
  connection: Connection,
  sinkId: string,
  sequence: bigint,
  atMs: number,
): Promise<void> {
  await again('keeping the place of a sink', () =>
    connection.query(
      `UPDATE MPE_AuditSinks SET Sequence = @sequence, SavedAt = @at
       WHERE SinkId = @sinkId AND Sequence < @sequence;
       INSERT INTO MPE_AuditSinks (SinkId, Sequence, SavedAt)
       SELECT @sinkId, @sequence, @at
       WHERE NOT EXISTS (SELECT 1 FROM MPE_AuditSinks WHERE SinkId = @sinkId);`,
      { sinkId: wordOf(sinkId), sequence: bigintOf(sequence), at: timeOf(atMs) },
    ),
  );
}

/**
 * A row as it is. Words are taken as they stand, also where somebody has changed them by hand to what
 * no release writes: verifying must be able to read it and say so.
 */
function auditRow(row: SqlRow): AuditRow {
  return {
    sequence: bigInteger(row, 'Sequence'),
    requestId: guidOrNull(row, 'RequestId') ?? NIL_GUID,
    atMs: time(row, 'HappenedAt'),
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
