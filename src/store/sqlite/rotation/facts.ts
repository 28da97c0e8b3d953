import type { Guid } from '../../../protocol/guid.js';
import { PROTECTION_STATES, ROTATION_OUTCOMES, VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import type {
  Place,
  RotationClaim,
  RotationFacts,
  RotationHolder,
  RotationRecord,
  RotationVolumeKey,
} from '../../rotation-store.js';
import {
  bigInteger,
  bytes,
  flag,
  guid,
  integer,
  integerOrNull,
  json,
  numbered,
  text,
  textOrNull,
  word,
} from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/** Everything that the state of a request is worked out from. The caller has the snapshot. */
export function factsOf(c: Connection, request: RotationRecord): RotationFacts {
  const { requestId, keyId, volumeId, round } = request;
  const exposed = c.get(
    'SELECT max(ExposedAt) AS At FROM MPE_Exposures WHERE KeyId = ? AND VolumeId = ?',
    keyId,
    volumeId,
  );
  const deliveries = c.all(
    'SELECT ClientId, FirstDeliveredAt FROM MPE_RotationDeliveries WHERE RequestId = ? AND Round = ? ORDER BY ClientId',
    requestId,
    round,
  );
  return {
    request,
    exposedAtMs: exposed === undefined ? null : integerOrNull(exposed, 'At'),
    holders: holders(c, keyId, volumeId),
    keys: volumeKeys(c, keyId, volumeId),
    deliveries: deliveries.map((row) => ({
      clientId: guid(row, 'ClientId'),
      atMs: integer(row, 'FirstDeliveredAt'),
    })),
    claims: c.all(CLAIMS, requestId).map(claim),
  };
}

const HOLDERS = `
  SELECT p.ClientId, m.Name, m.DomainName, p.SecretId, p.Epoch, p.Sequence,
    r.Epoch AS ReportEpoch, r.Sequence AS ReportSequence, r.ReportedAt, r.VolumeType, r.Protection, r.KeyIds,
    coalesce(r.VolumeType = 1 AND EXISTS (
      SELECT 1 FROM MPE_Reports n WHERE n.ClientId = p.ClientId AND n.VolumeId <> r.VolumeId
        AND n.VolumeType = 1 AND n.Epoch > r.Epoch), 0) AS NewerOs
  FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
    CROSS JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
  WHERE k.KeyId = ? AND k.VolumeId = ? AND k.Kind = 1
  ORDER BY p.ClientId, p.SecretId`;

const BASELINES = `
  SELECT q.ClientId, q.Epoch, q.Sequence FROM MPE_Exposures e
    CROSS JOIN MPE_ExposureRanks q ON q.ExposureId = e.ExposureId
  WHERE e.KeyId = ? AND e.VolumeId = ? ORDER BY q.Epoch, q.Sequence`;

const KEYS = `
  SELECT k.KeyId, k.SecretId, k.FirstStoredAt,
    EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId) AS Readable,
    EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = k.KeyId) AS Exposed
  FROM MPE_Keys k WHERE k.VolumeId = ? AND k.Kind = 1 AND k.KeyId <> ? ORDER BY k.KeyId, k.FirstStoredAt`;

const CLAIMS = `
  SELECT ClientId, Epoch, Sequence, Outcome, ErrorCode, ErrorText, NewKeyId, ReportedAt
  FROM MPE_RotationReports WHERE RequestId = ? ORDER BY ReportedAt, Epoch, Sequence`;

const place = (row: SqlRow): Place => ({
  epoch: integer(row, 'Epoch'),
  sequence: bigInteger(row, 'Sequence'),
});

function holders(c: Connection, keyId: Guid, volumeId: Guid): RotationHolder[] {
  // In order: the last row of a client is its highest.
  const baselines = new Map(
    c.all(BASELINES, keyId, volumeId).map((row) => [guid(row, 'ClientId'), place(row)]),
  );
  return c.all(HOLDERS, keyId, volumeId).map((row) => ({
    clientId: guid(row, 'ClientId'),
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    secretId: bytes(row, 'SecretId').toString('hex'),
    proven: place(row),
    baseline: baselines.get(guid(row, 'ClientId')) ?? null,
    report: row['ReportEpoch'] === null ? null : report(row),
    newerOsVolume: flag(row, 'NewerOs'),
  }));
}

const report = (row: SqlRow): NonNullable<RotationHolder['report']> => ({
  epoch: integer(row, 'ReportEpoch'),
  sequence: bigInteger(row, 'ReportSequence'),
  reportedAtMs: integer(row, 'ReportedAt'),
  volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
  protection: numbered(row, 'Protection', PROTECTION_STATES),
  keyIds: json<Guid[]>(row, 'KeyIds'),
});

/** Several passwords under one key ID are one key here: readable where one of them is. */
function volumeKeys(c: Connection, keyId: Guid, volumeId: Guid): RotationVolumeKey[] {
  const keys = new Map<Guid, RotationVolumeKey>();
  for (const row of c.all(KEYS, volumeId, keyId)) {
    const id = guid(row, 'KeyId');
    const known = keys.get(id);
    const proofs = c
      .all('SELECT ClientId, Epoch, Sequence FROM MPE_KeyProofs WHERE SecretId = ?', bytes(row, 'SecretId'))
      .map((proof) => ({ clientId: guid(proof, 'ClientId'), ...place(proof) }));
    keys.set(id, {
      keyId: id,
      readable: flag(row, 'Readable') || known?.readable === true,
      exposed: flag(row, 'Exposed'),
      firstStoredAtMs: known?.firstStoredAtMs ?? integer(row, 'FirstStoredAt'),
      proofs: [...(known?.proofs ?? []), ...proofs],
    });
  }
  return [...keys.values()];
}

const claim = (row: SqlRow): RotationClaim => ({
  clientId: guid(row, 'ClientId'),
  ...place(row),
  outcome: word(row, 'Outcome', ROTATION_OUTCOMES),
  errorCode: row['ErrorCode'] === null ? null : bigInteger(row, 'ErrorCode'),
  errorText: textOrNull(row, 'ErrorText'),
  newKeyId: row['NewKeyId'] === null ? null : guid(row, 'NewKeyId'),
  reportedAtMs: integer(row, 'ReportedAt'),
});
