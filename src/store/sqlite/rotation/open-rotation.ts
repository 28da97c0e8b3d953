import type { RotationOpened, RotationOpening } from '../../rotation-store.js';
import { guid } from '../columns.js';
import type { Connection } from '../connection.js';

/**
 * Asks for a rotation after the key's exposure was written; the caller has the transaction.
 *
 * Every open request of the volume gets the next round, so that none is closed by evidence from before
 * the exposure and each counts as not delivered. A new request gets the earliest deadline of the volume.
 * What a policy began, and somebody was shown since, waits for no policy any more: it takes the new origin.
 */
export function openRotation(c: Connection, opening: RotationOpening): RotationOpened {
  const { requestId, volumeId, keyId, deadlineMs, notBeforeMs } = opening;
  c.run(
    'UPDATE MPE_RotationRequests SET Round = Round + 1 WHERE VolumeId = ? AND ClosedAt IS NULL',
    volumeId,
  );
  c.run(
    `UPDATE MPE_RotationRequests SET Deadline = min(Deadline, ?), NotBefore = min(NotBefore, ?),
       Origin = CASE WHEN Origin IN ('MIGRATION', 'POLICY') THEN ? ELSE Origin END
     WHERE VolumeId = ? AND KeyId = ? AND ClosedAt IS NULL`,
    deadlineMs,
    notBeforeMs,
    opening.origin,
    volumeId,
    keyId,
  );
  const opened = c.run(
    `INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt, Origin, RequestedBy, NotBefore)
     SELECT ?1, ?2, ?3, min(?4, coalesce((SELECT min(o.Deadline) FROM MPE_RotationRequests o
                                          WHERE o.VolumeId = ?2 AND o.ClosedAt IS NULL), ?4)), ?5, ?6, ?7, ?8
     WHERE NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o
                       WHERE o.VolumeId = ?2 AND o.KeyId = ?3 AND o.ClosedAt IS NULL)
       AND NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o WHERE o.RequestId = ?1)
       AND (?9 = 1 OR EXISTS (
         SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
           CROSS JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
         WHERE k.KeyId = ?3 AND k.VolumeId = ?2 AND k.Kind = 1
           AND EXISTS (SELECT 1 FROM json_each(r.KeyIds) j WHERE j.value = k.KeyId)))`,
    requestId,
    volumeId,
    keyId,
    deadlineMs,
    opening.atMs,
    opening.origin,
    opening.requestedBy,
    notBeforeMs,
    opening.evenAbsent ? 1 : 0,
  );
  const row = c.get(
    'SELECT RequestId FROM MPE_RotationRequests WHERE VolumeId = ? AND KeyId = ? AND ClosedAt IS NULL',
    volumeId,
    keyId,
  );
  return {
    volumeId,
    keyId,
    requestId: row === undefined ? null : guid(row, 'RequestId'),
    opened: opened > 0,
  };
}
