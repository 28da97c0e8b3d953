import type { Guid } from '../../../protocol/guid.js';
import type { RotationClosure } from '../../rotation-store.js';
import type { Connection } from '../connection.js';

/** Closes requests that are still open in the round in which their evidence was read. */
export function close(c: Connection, closures: readonly RotationClosure[]): Guid[] {
  return c.immediate(() =>
    closures.flatMap(({ requestId, round, as, by, reason, atMs }) => {
      const changed = c.run(
        `UPDATE MPE_RotationRequests SET ClosedAs = ?1, ClosedAt = ?2, ClosedBy = ?3, CloseReason = ?4
         WHERE RequestId = ?5 AND ClosedAt IS NULL AND (?6 IS NULL OR Round = ?6)`,
        as,
        atMs,
        by,
        reason,
        requestId,
        round,
      );
      return changed > 0 ? [requestId] : [];
    }),
  );
}
