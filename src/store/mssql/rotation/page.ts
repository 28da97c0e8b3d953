import type { Guid } from '../../../protocol/guid.js';
import type { RotationFacts, RotationFilter, RotationPosition } from '../../rotation-store.js';
import { guidOf, intOf, timeOf, wordOf } from '../parameters.js';
import { firstSet, type Session, type SqlParameters } from '../session.js';
import { factsOf } from './facts.js';
import { RECORD_COLUMNS, rotationRecord } from './records.js';

/**
 * A page of requests with their evidence: two round trips. The requests come first, with their rounds,
 * so that no exposure that changed the evidence since can be missed when one is closed.
 */
export async function page(
  session: Session,
  filter: RotationFilter,
  after: RotationPosition | null,
  limit: number,
): Promise<RotationFacts[]> {
  const { text, values } = statement(filter, after);
  const rows = firstSet(await session.query(text, { ...values, limit: intOf(limit) }));
  return factsOf(session, rows.map(rotationRecord));
}

/** One request with its evidence. */
export async function find(session: Session, requestId: Guid): Promise<RotationFacts | null> {
  const rows = firstSet(
    await session.query(
      `SELECT ${RECORD_COLUMNS} FROM MPE_RotationRequests r WHERE r.RequestId = @requestId`,
      { requestId: guidOf(requestId) },
    ),
  );
  const [facts] = await factsOf(session, rows.map(rotationRecord));
  return facts ?? null;
}

/** GUIDs are ordered as text: SQL Server orders uniqueidentifier by its last bytes. */
const ID = 'LOWER(CONVERT(char(36), r.RequestId))';

/** Open requests by deadline, closed ones the newest first; each walks the index of its order. */
function statement(
  filter: RotationFilter,
  after: RotationPosition | null,
): { text: string; values: SqlParameters } {
  const [column, direction, beyond] = filter.open
    ? (['r.Deadline', 'ASC', '>'] as const)
    : (['r.ClosedAt', 'DESC', '<'] as const);
  const conditions = [`r.ClosedAt IS ${filter.open ? '' : 'NOT '}NULL`];
  const values: Record<string, SqlParameters[string]> = {};
  if (filter.volumeId !== undefined) {
    conditions.push('r.VolumeId = @volumeId');
    values['volumeId'] = guidOf(filter.volumeId);
  }
  if (filter.keyId !== undefined) {
    conditions.push('r.KeyId = @keyId');
    values['keyId'] = guidOf(filter.keyId);
  }
  if (filter.dueBeforeMs !== undefined) {
    conditions.push('r.Deadline < @due');
    values['due'] = timeOf(filter.dueBeforeMs);
  }
  if (filter.clientId !== undefined) {
    conditions.push(`EXISTS (
      SELECT 1 FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = @clientId
      WHERE k.KeyId = r.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1)`);
    values['clientId'] = guidOf(filter.clientId);
  }
  if (after !== null) {
    // The first condition is what the index is sought by.
    conditions.push(
      `${column} ${beyond}= @afterAt AND (${column} ${beyond} @afterAt OR ${ID} ${beyond} @afterId)`,
    );
    values['afterAt'] = timeOf(after.atMs);
    values['afterId'] = wordOf(after.requestId);
  }
  const text = `SELECT TOP (@limit) ${RECORD_COLUMNS} FROM MPE_RotationRequests r
    WHERE ${conditions.join(' AND ')} ORDER BY ${column} ${direction}, ${ID} ${direction}`;
  return { text, values };
}
