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

/** Requests for keys that a client sent. */
const REQUESTS_OF_MACHINE = `(
    SELECT DISTINCT k.VolumeId, k.KeyId FROM MPE_KeyProofs p JOIN MPE_Keys k ON k.SecretId = p.SecretId AND k.Kind = 1
    WHERE p.ClientId = @clientId) w
    JOIN MPE_RotationRequests r ON r.VolumeId = w.VolumeId AND r.KeyId = w.KeyId`;

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
  // A machine's few keys lead to its requests: walking all of them in their order would look at everybody's.
  const from = filter.clientId === undefined ? 'MPE_RotationRequests r' : REQUESTS_OF_MACHINE;
  if (filter.clientId !== undefined) values['clientId'] = guidOf(filter.clientId);
  if (after !== null) {
    // The first condition is what the index is sought by.
    conditions.push(
      `${column} ${beyond}= @afterAt AND (${column} ${beyond} @afterAt OR ${ID} ${beyond} @afterId)`,
    );
    values['afterAt'] = timeOf(after.atMs);
    values['afterId'] = wordOf(after.requestId);
  }
  const text = `SELECT TOP (@limit) ${RECORD_COLUMNS} FROM ${from}
    WHERE ${conditions.join(' AND ')} ORDER BY ${column} ${direction}, ${ID} ${direction}`;
  return { text, values };
}
