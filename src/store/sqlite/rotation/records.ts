import { ROTATION_CLOSINGS, ROTATION_ORIGINS, type RotationRecord } from '../../rotation-store.js';
import { guid, integer, integerOrNull, text, word } from '../columns.js';
import type { SqlRow } from '../connection.js';

/** The columns of a request `r` that {@link rotationRecord} reads. */
export const RECORD_COLUMNS = `r.RequestId, r.VolumeId, r.KeyId, r.Origin, r.RequestedBy, r.OpenedAt, r.Deadline,
  r.NotBefore, r.Round, r.ClosedAs, r.ClosedAt, r.ClosedBy, r.CloseReason`;

/** A request as the engine sees it. */
export const rotationRecord = (row: SqlRow): RotationRecord => ({
  requestId: guid(row, 'RequestId'),
  volumeId: guid(row, 'VolumeId'),
  keyId: guid(row, 'KeyId'),
  origin: word(row, 'Origin', ROTATION_ORIGINS),
  requestedBy: text(row, 'RequestedBy'),
  openedAtMs: integer(row, 'OpenedAt'),
  deadlineMs: integer(row, 'Deadline'),
  notBeforeMs: integer(row, 'NotBefore'),
  round: integer(row, 'Round'),
  closedAs: row['ClosedAs'] === null ? null : word(row, 'ClosedAs', ROTATION_CLOSINGS),
  closedAtMs: integerOrNull(row, 'ClosedAt'),
  closedBy: text(row, 'ClosedBy'),
  closeReason: text(row, 'CloseReason'),
});
