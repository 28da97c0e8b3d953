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
  guidOrNull,
  integer,
  json,
  numbered,
  text,
  textOrNull,
  time,
  word,
} from '../columns.js';
import { hexOf } from '../json-rows.js';
import { rowsOf } from '../parameters.js';
import type { Session, SqlRow } from '../session.js';

/** Everything that the states of requests are worked out from: one round trip, seven statements. */
export async function factsOf(
  session: Session,
  requests: readonly RotationRecord[],
): Promise<RotationFacts[]> {
  if (requests.length === 0) return [];
  const sets = await session.query(BATCH, {
    requests: rowsOf(
      requests.map(({ volumeId, keyId, requestId, round }, n) => ({
        ...{ N: n, VolumeId: volumeId, KeyId: keyId, RequestId: requestId, Round: round },
      })),
    ),
  });
  const [exposed, baselines, holders, keys, proofs, deliveries, claims] = sets.map(byRequest);
  return requests.map((request, n) => {
    const rowsIn = (set: Map<number, SqlRow[]> | undefined): SqlRow[] => set?.get(n) ?? [];
    const [last] = rowsIn(exposed);
    return {
      request,
      exposedAtMs: last === undefined ? null : time(last, 'At'),
      holders: holdersOf(rowsIn(holders), rowsIn(baselines)),
      keys: volumeKeys(rowsIn(keys), rowsIn(proofs)),
      deliveries: rowsIn(deliveries).map((row) => ({
        clientId: guid(row, 'ClientId'),
        atMs: time(row, 'FirstDeliveredAt'),
      })),
      claims: rowsIn(claims).map(claim),
    };
  });
}

const WANTED = `OPENJSON(@requests) WITH (N int '$.N', VolumeId uniqueidentifier '$.VolumeId',
    KeyId uniqueidentifier '$.KeyId', RequestId uniqueidentifier '$.RequestId', Round int '$.Round') w`;

const BATCH = `
  SELECT w.N, MAX(e.ExposedAt) AS At
  FROM ${WANTED} JOIN MPE_Exposures e ON e.KeyId = w.KeyId AND e.VolumeId = w.VolumeId
  GROUP BY w.N;

  SELECT w.N, q.ClientId, q.Epoch, q.Sequence
  FROM ${WANTED} JOIN MPE_Exposures e ON e.KeyId = w.KeyId AND e.VolumeId = w.VolumeId
    JOIN MPE_ExposureRanks q ON q.ExposureId = e.ExposureId
  ORDER BY w.N, q.Epoch, q.Sequence;

  SELECT w.N, p.ClientId, m.Name, m.DomainName, p.SecretId, p.Epoch, p.Sequence,
    r.Epoch AS ReportEpoch, r.Sequence AS ReportSequence, r.ReportedAt, r.VolumeType, r.Protection, r.KeyIds,
    CASE WHEN r.VolumeType = 1 AND EXISTS (
           SELECT 1 FROM MPE_Reports n WHERE n.ClientId = p.ClientId AND n.VolumeId <> r.VolumeId
             AND n.VolumeType = 1 AND n.Epoch > r.Epoch) THEN 1 ELSE 0 END AS NewerOs
  FROM ${WANTED} JOIN MPE_Keys k ON k.KeyId = w.KeyId AND k.VolumeId = w.VolumeId AND k.Kind = 1
    JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
  ORDER BY w.N, LOWER(CONVERT(char(36), p.ClientId)), p.SecretId;

  SELECT w.N, k.KeyId, k.SecretId, k.FirstStoredAt,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)
         THEN 1 ELSE 0 END AS Readable,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = k.KeyId) THEN 1 ELSE 0 END AS Exposed
  FROM ${WANTED} JOIN MPE_Keys k ON k.VolumeId = w.VolumeId AND k.Kind = 1 AND k.KeyId <> w.KeyId
  ORDER BY w.N, LOWER(CONVERT(char(36), k.KeyId)), k.FirstStoredAt;

  SELECT w.N, k.KeyId, p.ClientId, p.Epoch, p.Sequence
  FROM ${WANTED} JOIN MPE_Keys k ON k.VolumeId = w.VolumeId AND k.Kind = 1 AND k.KeyId <> w.KeyId
    JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId;

  SELECT w.N, d.ClientId, d.FirstDeliveredAt
  FROM ${WANTED} JOIN MPE_RotationDeliveries d ON d.RequestId = w.RequestId AND d.Round = w.Round
  ORDER BY w.N, LOWER(CONVERT(char(36), d.ClientId));

  SELECT w.N, c.ClientId, c.Epoch, c.Sequence, c.Outcome, c.ErrorCode, c.ErrorText, c.NewKeyId, c.ReportedAt
  FROM ${WANTED} JOIN MPE_RotationReports c ON c.RequestId = w.RequestId
  ORDER BY w.N, c.ReportedAt, c.Epoch, c.Sequence;`;

function byRequest(rows: readonly SqlRow[]): Map<number, SqlRow[]> {
  const groups = new Map<number, SqlRow[]>();
  for (const row of rows) {
    const n = integer(row, 'N');
    const group = groups.get(n);
    if (group === undefined) groups.set(n, [row]);
    else group.push(row);
  }
  return groups;
}

const place = (row: SqlRow): Place => ({
  epoch: integer(row, 'Epoch'),
  sequence: bigInteger(row, 'Sequence'),
});

function holdersOf(rows: readonly SqlRow[], ranks: readonly SqlRow[]): RotationHolder[] {
  // In order: the last row of a client is its highest.
  const baselines = new Map(ranks.map((row) => [guid(row, 'ClientId'), place(row)]));
  return rows.map((row) => ({
    clientId: guid(row, 'ClientId'),
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    secretId: hexOf(bytes(row, 'SecretId')),
    proven: place(row),
    baseline: baselines.get(guid(row, 'ClientId')) ?? null,
    report: row['ReportEpoch'] === null ? null : report(row),
    newerOsVolume: flag(row, 'NewerOs'),
  }));
}

const report = (row: SqlRow): NonNullable<RotationHolder['report']> => ({
  epoch: integer(row, 'ReportEpoch'),
  sequence: bigInteger(row, 'ReportSequence'),
  reportedAtMs: time(row, 'ReportedAt'),
  volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
  protection: numbered(row, 'Protection', PROTECTION_STATES),
  keyIds: json<Guid[]>(row, 'KeyIds'),
});

/** Several passwords under one key ID are one key here: readable where one of them is. */
function volumeKeys(rows: readonly SqlRow[], proofRows: readonly SqlRow[]): RotationVolumeKey[] {
  const keys = new Map<Guid, RotationVolumeKey>();
  for (const row of rows) {
    const keyId = guid(row, 'KeyId');
    const known = keys.get(keyId);
    keys.set(keyId, {
      keyId,
      readable: flag(row, 'Readable') || known?.readable === true,
      exposed: flag(row, 'Exposed'),
      firstStoredAtMs: known?.firstStoredAtMs ?? time(row, 'FirstStoredAt'),
      proofs:
        known?.proofs ??
        proofRows
          .filter((proof) => guid(proof, 'KeyId') === keyId)
          .map((proof) => ({ clientId: guid(proof, 'ClientId'), ...place(proof) })),
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
  newKeyId: guidOrNull(row, 'NewKeyId'),
  reportedAtMs: time(row, 'ReportedAt'),
});
