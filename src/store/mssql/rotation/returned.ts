import { NIL_GUID } from '../../../protocol/guid.js';
import { originOf, type ExposurePosition, type ReturnedKey } from '../../rotation-store.js';
import { flag, guid, text, time } from '../columns.js';
import { intOf, timeOf, wordOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/** Exposed keys that came back; see {@link RotationStore.returned}. */
export async function returned(
  session: Session,
  after: ExposurePosition | null,
  limit: number,
): Promise<{ keys: ReturnedKey[]; next: ExposurePosition | null }> {
  const rows = firstSet(
    await session.query(SELECT_PAGE, {
      afterAt: timeOf(after?.atMs ?? 0),
      afterId: wordOf(after?.exposureId ?? NIL_GUID),
      limit: intOf(limit),
    }),
  );
  const last = rows.at(-1);
  const ended = rows.length < limit || last === undefined;
  return {
    keys: rows
      .filter((row) => flag(row, 'IsBack'))
      .map((row) => ({
        keyId: guid(row, 'KeyId'),
        volumeId: guid(row, 'VolumeId'),
        cause: originOf(text(row, 'Cause')),
      })),
    next: ended ? null : { atMs: time(last, 'ExposedAt'), exposureId: guid(last, 'ExposureId') },
  };
}

const SELECT_PAGE = `
  SELECT x.ExposureId, x.KeyId, x.VolumeId, x.ExposedAt, x.Cause,
    CASE WHEN EXISTS (
      SELECT 1 FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
        JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
        CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') s
      WHERE k.KeyId = x.KeyId AND k.VolumeId = x.VolumeId AND k.Kind = 1 AND s.KeyId = k.KeyId
        AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e JOIN MPE_ExposureRanks q ON q.ExposureId = e.ExposureId
                        WHERE e.KeyId = k.KeyId AND e.VolumeId = k.VolumeId AND q.ClientId = r.ClientId
                          AND (r.Epoch < q.Epoch OR (r.Epoch = q.Epoch AND r.Sequence <= q.Sequence)))
        AND NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o
                        WHERE o.VolumeId = k.VolumeId AND o.KeyId = k.KeyId
                          AND (o.ClosedAt IS NULL OR o.ClosedAt >= r.ReportedAt
                               OR (o.ClosedAs = 'ABANDONED' AND NOT EXISTS (
                                     SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = k.KeyId
                                       AND e.VolumeId = k.VolumeId AND e.ExposedAt > o.ClosedAt)))))
    THEN 1 ELSE 0 END AS IsBack
  FROM (SELECT TOP (@limit) e.ExposureId, e.KeyId, e.VolumeId, e.ExposedAt, e.Cause FROM MPE_Exposures e
        WHERE e.ExposedAt >= @afterAt
          AND (e.ExposedAt > @afterAt OR LOWER(CONVERT(char(36), e.ExposureId)) > @afterId)
        ORDER BY e.ExposedAt, LOWER(CONVERT(char(36), e.ExposureId))) x
  ORDER BY x.ExposedAt, LOWER(CONVERT(char(36), x.ExposureId))`;
