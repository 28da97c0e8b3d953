import type { Guid } from '../../../protocol/guid.js';
import type { RotationFacts, RotationFilter, RotationPosition } from '../../rotation-store.js';
import type { Connection, SqlParameter } from '../connection.js';
import { factsOf } from './facts.js';
import { RECORD_COLUMNS, rotationRecord } from './records.js';

/** A page of requests with their evidence; all of it is of one moment. */
export function page(
  c: Connection,
  filter: RotationFilter,
  after: RotationPosition | null,
  limit: number,
): RotationFacts[] {
  const { text, values } = statement(filter, after, limit);
  return c.snapshot(() => c.all(text, ...values).map((row) => factsOf(c, rotationRecord(row))));
}

/** One request with its evidence. */
export function find(c: Connection, requestId: Guid): RotationFacts | null {
  return c.snapshot(() => {
    const row = c.get(
      `SELECT ${RECORD_COLUMNS} FROM MPE_RotationRequests r WHERE r.RequestId = ?`,
      requestId,
    );
    return row === undefined ? null : factsOf(c, rotationRecord(row));
  });
}

/** Requests for keys that a client sent. */
const REQUESTS_OF_MACHINE = `(
    SELECT DISTINCT k.VolumeId, k.KeyId FROM MPE_KeyProofs p
      CROSS JOIN MPE_Keys k ON k.SecretId = p.SecretId AND k.Kind = 1
    WHERE p.ClientId = ?) w
    CROSS JOIN MPE_RotationRequests r ON r.VolumeId = w.VolumeId AND r.KeyId = w.KeyId`;

/** Open requests by deadline, closed ones the newest first; each walks the index of its order. */
function statement(
  filter: RotationFilter,
  after: RotationPosition | null,
  limit: number,
): { text: string; values: SqlParameter[] } {
  const [order, direction, beyond] = filter.open ? ['Deadline', 'ASC', '>'] : ['ClosedAt', 'DESC', '<'];
  const values: SqlParameter[] = [];
  const conditions = [`r.ClosedAt IS ${filter.open ? '' : 'NOT '}NULL`];
  const where = (condition: string, ...given: SqlParameter[]): void => {
    conditions.push(condition);
    values.push(...given);
  };
  if (filter.volumeId !== undefined) where('r.VolumeId = ?', filter.volumeId);
  if (filter.keyId !== undefined) where('r.KeyId = ?', filter.keyId);
  if (filter.dueBeforeMs !== undefined) where('r.Deadline < ?', filter.dueBeforeMs);
  // A machine's few keys come first: walking all requests in their order would look at those of everybody.
  const from = filter.clientId === undefined ? 'MPE_RotationRequests r' : REQUESTS_OF_MACHINE;
  if (filter.clientId !== undefined) values.unshift(filter.clientId);
  if (after !== null) where(`(r.${order}, r.RequestId) ${beyond} (?, ?)`, after.atMs, after.requestId);
  const text = `SELECT ${RECORD_COLUMNS} FROM ${from} WHERE ${conditions.join(' AND ')}
    ORDER BY r.${order} ${direction}, r.RequestId ${direction} LIMIT ?`;
  return { text, values: [...values, limit] };
}
