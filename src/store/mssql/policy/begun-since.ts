import { integer } from '../columns.js';
import { textOf, timeOf } from '../parameters.js';
import { firstRow, type Session } from '../session.js';

/** Rotations that were asked for in a name since a time. */
export async function begunSince(session: Session, requestedBy: string, sinceMs: number): Promise<number> {
  const row = firstRow(
    await session.query(
      'SELECT COUNT(*) AS Begun FROM MPE_RotationRequests WHERE RequestedBy = @by AND OpenedAt >= @since',
      { by: textOf(requestedBy), since: timeOf(sinceMs) },
    ),
  );
  return row === undefined ? 0 : integer(row, 'Begun');
}
