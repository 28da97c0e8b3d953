import type { ExposureFact } from '../../rotation-store.js';
import { bytes, bigInteger, guid, integer } from '../columns.js';
import type { Connection } from '../connection.js';

/** The digest of a place that only a proof remembers; ranks of a disclosure are compared without it. */
const NO_DIGEST = Buffer.alloc(32);

/**
 * Writes that a key was exposed, with the highest rank of each client that had proven it by then: what
 * a client says above that rank, it said after the exposure. The same id again writes nothing. The
 * caller has the transaction.
 *
 * @param secretIds the secrets shown: clients that sent one of them; absent: all of the key ID
 */
export function writeExposure(
  c: Connection,
  exposure: ExposureFact,
  secretIds?: readonly Uint8Array[],
): boolean {
  const { exposureId, keyId, volumeId, atMs, cause, actor, auditSequence } = exposure;
  const written = c.run(
    `INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause, AuditSequence, Actor)
     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ExposureId) DO NOTHING`,
    exposureId,
    keyId,
    volumeId,
    atMs,
    cause,
    auditSequence,
    actor,
  );
  if (written === 0) return false;
  const shown = secretIds?.map((one) => Buffer.from(one).toString('hex'));
  const proofs = c.all(
    `SELECT p.ClientId, p.SecretId FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
     WHERE k.KeyId = ? AND k.VolumeId = ? AND k.Kind = 1`,
    keyId,
    volumeId,
  );
  const holders = new Set(
    proofs
      .filter((row) => shown === undefined || shown.includes(bytes(row, 'SecretId').toString('hex')))
      .map((row) => guid(row, 'ClientId')),
  );
  for (const clientId of holders) {
    const top = c.get(HIGHEST, clientId, NO_DIGEST);
    if (top === undefined) continue;
    c.run(
      'INSERT INTO MPE_ExposureRanks (ExposureId, ClientId, Epoch, Sequence, Digest) VALUES (?, ?, ?, ?, ?)',
      exposureId,
      clientId,
      integer(top, 'Epoch'),
      bigInteger(top, 'Sequence'),
      bytes(top, 'Digest'),
    );
  }
  return true;
}

const HIGHEST = `
  SELECT Epoch, Sequence, Digest FROM (
    SELECT * FROM (SELECT Epoch, Sequence, Digest FROM MPE_Outcomes WHERE ClientId = ?1
                   ORDER BY Epoch DESC, Sequence DESC LIMIT 1)
    UNION ALL SELECT Epoch, Sequence, Digest FROM MPE_Reports WHERE ClientId = ?1
    UNION ALL SELECT Epoch, Sequence, Digest FROM MPE_ClientStates WHERE ClientId = ?1
    UNION ALL SELECT Epoch, Sequence, ?2 FROM MPE_KeyProofs WHERE ClientId = ?1)
  ORDER BY Epoch DESC, Sequence DESC, Digest DESC LIMIT 1`;
