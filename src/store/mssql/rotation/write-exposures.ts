import type { ExposureFact } from '../../rotation-store.js';
import { jsonText, textOfJson } from '../json-text.js';
import { bytesOf, rowsOf, sqlTime } from '../parameters.js';
import type { Session } from '../session.js';

/** The digest of a place that only a proof remembers; ranks of a disclosure are compared without it. */
const NO_DIGEST = Buffer.alloc(32);

/**
 * Writes that keys were exposed, with the highest rank of each client that had proven them by then:
 * what a client says above that rank, it said after the exposure. Two statements, however many.
 *
 * @throws the unique violation where an exposure is there already
 */
export async function writeExposures(tx: Session, exposures: readonly ExposureFact[]): Promise<void> {
  await tx.query(BATCH, {
    exposures: rowsOf(
      exposures.map(({ exposureId, keyId, volumeId, atMs, cause, auditSequence, actor }) => ({
        ...{ ExposureId: exposureId, KeyId: keyId, VolumeId: volumeId, ExposedAt: sqlTime(atMs) },
        ...{ Cause: cause, AuditSequence: auditSequence, Actor: jsonText(actor) },
      })),
    ),
    none: bytesOf(NO_DIGEST),
  });
}

const EXPOSURES = `OPENJSON(@exposures) WITH (ExposureId uniqueidentifier '$.ExposureId',
    KeyId uniqueidentifier '$.KeyId', VolumeId uniqueidentifier '$.VolumeId',
    ExposedAt datetime2(3) '$.ExposedAt', Cause varchar(64) '$.Cause',
    AuditSequence bigint '$.AuditSequence', Actor nvarchar(max) '$.Actor') j`;

const BATCH = `
  INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause, AuditSequence, Actor)
  SELECT j.ExposureId, j.KeyId, j.VolumeId, j.ExposedAt, j.Cause, j.AuditSequence, ${textOfJson('j.Actor')}
  FROM ${EXPOSURES};

  INSERT INTO MPE_ExposureRanks (ExposureId, ClientId, Epoch, Sequence, Digest)
  SELECT h.ExposureId, h.ClientId, a.Epoch, a.Sequence, a.Digest
  FROM (SELECT DISTINCT j.ExposureId, p.ClientId FROM ${EXPOSURES}
          JOIN MPE_Keys k ON k.KeyId = j.KeyId AND k.VolumeId = j.VolumeId AND k.Kind = 1
          JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId) h
  CROSS APPLY (
    SELECT TOP (1) u.Epoch, u.Sequence, u.Digest
    FROM (SELECT o.Epoch, o.Sequence, o.Digest
          FROM (SELECT TOP (1) t.Epoch, t.Sequence, t.Digest FROM MPE_Outcomes t WHERE t.ClientId = h.ClientId
                ORDER BY t.Epoch DESC, t.Sequence DESC) o
          UNION ALL SELECT t.Epoch, t.Sequence, t.Digest FROM MPE_Reports t WHERE t.ClientId = h.ClientId
          UNION ALL SELECT t.Epoch, t.Sequence, t.Digest FROM MPE_ClientStates t WHERE t.ClientId = h.ClientId
          UNION ALL SELECT t.Epoch, t.Sequence, @none FROM MPE_KeyProofs t WHERE t.ClientId = h.ClientId) u
    ORDER BY u.Epoch DESC, u.Sequence DESC, u.Digest DESC) a;`;
