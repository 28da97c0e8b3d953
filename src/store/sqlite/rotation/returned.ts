import { originOf, type ExposurePosition, type ReturnedKey } from '../../rotation-store.js';
import { guid, integer, text } from '../columns.js';
import type { Connection } from '../connection.js';

/** Exposed keys that came back; see {@link RotationStore.returned}. */
export function returned(
  c: Connection,
  after: ExposurePosition | null,
  limit: number,
): { keys: ReturnedKey[]; next: ExposurePosition | null } {
  return c.snapshot(() => {
    const rows = c.all(
      `SELECT ExposureId, KeyId, VolumeId, ExposedAt, Cause FROM MPE_Exposures
       WHERE (ExposedAt, ExposureId) > (?, ?) ORDER BY ExposedAt, ExposureId LIMIT ?`,
      after?.atMs ?? Number.MIN_SAFE_INTEGER,
      after?.exposureId ?? '',
      limit,
    );
    const keys = rows.flatMap((row) => {
      const [keyId, volumeId] = [guid(row, 'KeyId'), guid(row, 'VolumeId')];
      const cause = originOf(text(row, 'Cause'));
      return c.get(IS_BACK, keyId, volumeId) === undefined ? [] : [{ keyId, volumeId, cause }];
    });
    const last = rows.at(-1);
    const ended = rows.length < limit || last === undefined;
    return {
      keys,
      next: ended ? null : { atMs: integer(last, 'ExposedAt'), exposureId: guid(last, 'ExposureId') },
    };
  });
}

const IS_BACK = `
  SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
    CROSS JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
  WHERE k.KeyId = ?1 AND k.VolumeId = ?2 AND k.Kind = 1
    AND EXISTS (SELECT 1 FROM json_each(r.KeyIds) j WHERE j.value = k.KeyId)
    AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e CROSS JOIN MPE_ExposureRanks q ON q.ExposureId = e.ExposureId
                    WHERE e.KeyId = ?1 AND e.VolumeId = ?2 AND q.ClientId = r.ClientId
                      AND (r.Epoch, r.Sequence) <= (q.Epoch, q.Sequence))
    AND NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o
                    WHERE o.VolumeId = ?2 AND o.KeyId = ?1
                      AND (o.ClosedAt IS NULL OR o.ClosedAt >= r.ReportedAt
                           OR (o.ClosedAs = 'ABANDONED' AND NOT EXISTS (
                                 SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = ?1 AND e.VolumeId = ?2
                                   AND e.ExposedAt > o.ClosedAt))))
  LIMIT 1`;
