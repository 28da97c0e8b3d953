import { integer } from '../columns.js';
import type { Connection } from '../connection.js';

/** Rotations that were asked for in a name since a time. */
export function begunSince(c: Connection, requestedBy: string, sinceMs: number): number {
  const row = c.get(
    'SELECT count(*) AS Begun FROM MPE_RotationRequests WHERE RequestedBy = ? AND OpenedAt >= ?',
    requestedBy,
    sinceMs,
  );
  return row === undefined ? 0 : integer(row, 'Begun');
}
