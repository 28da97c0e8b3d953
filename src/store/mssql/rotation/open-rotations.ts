import type { RotationOpened, RotationOpening } from '../../rotation-store.js';
import { guid } from '../columns.js';
import { jsonText, textOfJson } from '../json-text.js';
import { rowsOf, sqlTime } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/**
 * Asks for rotations after the keys' exposures were written; the caller has the transaction. Four
 * statements, however many.
 *
 * Every open request of the volumes gets the next round, so that none is closed by evidence from before
 * the exposure and each counts as not delivered. A new request gets the earliest deadline of its volume.
 * What a policy began, and somebody was shown since, waits for no policy any more: it takes the new origin.
 *
 * @param openings as `oneOpeningAKey` gives them
 * @throws the unique violation where a rival opens a request for the same key in this moment
 */
export async function openRotations(
  tx: Session,
  openings: readonly RotationOpening[],
): Promise<RotationOpened[]> {
  const open = firstSet(
    await tx.query(BATCH, {
      openings: rowsOf(
        openings.map((opening) => ({
          ...{ RequestId: opening.requestId, VolumeId: opening.volumeId, KeyId: opening.keyId },
          ...{ Deadline: sqlTime(opening.deadlineMs), OpenedAt: sqlTime(opening.atMs) },
          ...{ NotBefore: sqlTime(opening.notBeforeMs), Origin: opening.origin },
          ...{ RequestedBy: jsonText(opening.requestedBy), EvenAbsent: opening.evenAbsent ? 1 : 0 },
        })),
      ),
    }),
  );
  const ids = new Map(
    open.map((row) => [`${guid(row, 'VolumeId')}/${guid(row, 'KeyId')}`, guid(row, 'RequestId')]),
  );
  return openings.map(({ requestId, volumeId, keyId }) => {
    const found = ids.get(`${volumeId}/${keyId}`) ?? null;
    return { volumeId, keyId, requestId: found, opened: found === requestId };
  });
}

const OPENINGS = `OPENJSON(@openings) WITH (RequestId uniqueidentifier '$.RequestId',
    VolumeId uniqueidentifier '$.VolumeId', KeyId uniqueidentifier '$.KeyId', Deadline datetime2(3) '$.Deadline',
    OpenedAt datetime2(3) '$.OpenedAt', NotBefore datetime2(3) '$.NotBefore', Origin varchar(64) '$.Origin',
    RequestedBy nvarchar(max) '$.RequestedBy', EvenAbsent int '$.EvenAbsent') j`;

const BATCH = `
  UPDATE t SET Round = t.Round + 1
  FROM MPE_RotationRequests t
  WHERE t.ClosedAt IS NULL AND t.VolumeId IN (SELECT j.VolumeId FROM ${OPENINGS});

  UPDATE t SET Deadline = CASE WHEN j.Deadline < t.Deadline THEN j.Deadline ELSE t.Deadline END,
    NotBefore = CASE WHEN j.NotBefore < t.NotBefore THEN j.NotBefore ELSE t.NotBefore END,
    Origin = CASE WHEN t.Origin IN ('MIGRATION', 'POLICY') THEN j.Origin COLLATE Latin1_General_BIN2 ELSE t.Origin END
  FROM MPE_RotationRequests t JOIN ${OPENINGS} ON t.VolumeId = j.VolumeId AND t.KeyId = j.KeyId
  WHERE t.ClosedAt IS NULL;

  INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt, Origin, RequestedBy, NotBefore)
  SELECT j.RequestId, j.VolumeId, j.KeyId,
    CASE WHEN d.Deadline < j.Deadline THEN d.Deadline ELSE j.Deadline END,
    j.OpenedAt, j.Origin, ${textOfJson('j.RequestedBy')}, j.NotBefore
  FROM ${OPENINGS}
  LEFT JOIN (SELECT o.VolumeId, MIN(o.Deadline) AS Deadline FROM MPE_RotationRequests o
             WHERE o.ClosedAt IS NULL GROUP BY o.VolumeId) d ON d.VolumeId = j.VolumeId
  WHERE NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o
                    WHERE o.VolumeId = j.VolumeId AND o.KeyId = j.KeyId AND o.ClosedAt IS NULL)
    AND NOT EXISTS (SELECT 1 FROM MPE_RotationRequests o WHERE o.RequestId = j.RequestId)
    AND (j.EvenAbsent = 1 OR EXISTS (
      SELECT 1 FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
        JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
        CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') s
      WHERE k.KeyId = j.KeyId AND k.VolumeId = j.VolumeId AND k.Kind = 1 AND s.KeyId = k.KeyId))
  ORDER BY j.RequestId;

  SELECT t.VolumeId, t.KeyId, t.RequestId
  FROM MPE_RotationRequests t JOIN ${OPENINGS} ON t.VolumeId = j.VolumeId AND t.KeyId = j.KeyId
  WHERE t.ClosedAt IS NULL;`;
