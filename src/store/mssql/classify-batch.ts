import { OUTCOME_COLUMNS } from './outcomes.js';
import { SELECT_SEQUENCE_TWINS } from './sequence-twins.js';

/** More than any reply asks for, with the volumes of the message itself among them. */
const MAX_UNREADABLE = 512;

const CLIENTS = `OPENJSON(@clients) WITH (ClientId uniqueidentifier '$.ClientId') c`;

/** The key `k` is a recovery password that client `client` has proven and the site can read. */
const provenReadably = (client: string): string => `
  k.Kind = 1
  AND EXISTS (SELECT 1 FROM MPE_KeyProofs p WHERE p.ClientId = ${client} AND p.SecretId = k.SecretId)
  AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)`;

/**
 * What classify.ts reads, in the order of its record sets. The parameters hold each message, secret,
 * client, (client, volume) and (client, epoch) once; `@messages` is in the order of the candidates.
 *
 * The statements of a client start from its proofs or reports, which are few, by the leading column
 * of their primary keys. GUIDs are compared with GUIDs and hashes with varbinary(32), so that every
 * comparison can use its index. Volumes come in the order of their text, as they do on SQLite.
 */
export const CLASSIFY_BATCH = `
  SELECT ${OUTCOME_COLUMNS}
  FROM OPENJSON(@messages) WITH (ClientId uniqueidentifier '$.ClientId', MessageId uniqueidentifier '$.MessageId') m
  JOIN MPE_Outcomes t ON t.ClientId = m.ClientId AND t.MessageId = m.MessageId;

  SELECT s.SecretId
  FROM (SELECT CONVERT(varbinary(32), j.SecretId, 2) AS SecretId
        FROM OPENJSON(@secretIds) WITH (SecretId varchar(64) '$.SecretId') j) s
  WHERE EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = s.SecretId);

  SELECT DISTINCT v.ClientId, k.VolumeId, k.KeyId
  FROM OPENJSON(@volumes) WITH (ClientId uniqueidentifier '$.ClientId', VolumeId uniqueidentifier '$.VolumeId') v
  JOIN MPE_Keys k ON k.VolumeId = v.VolumeId
  WHERE ${provenReadably('v.ClientId')};

  SELECT c.ClientId, u.VolumeId, u.KeyId
  FROM ${CLIENTS}
  CROSS APPLY (
    SELECT TOP (${MAX_UNREADABLE}) r.VolumeId, j.KeyId
    FROM MPE_Reports r CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') j
    WHERE r.ClientId = c.ClientId
      AND NOT EXISTS (SELECT 1 FROM MPE_Keys k
                      WHERE k.KeyId = j.KeyId AND k.VolumeId = r.VolumeId AND ${provenReadably('r.ClientId')})
    ORDER BY LOWER(CONVERT(char(36), r.VolumeId)), LOWER(CONVERT(char(36), j.KeyId))) u;

  SELECT t.ClientId, t.Epoch, t.Sequence, t.Digest, t.OtherManagers
  FROM ${CLIENTS} JOIN MPE_ClientStates t ON t.ClientId = c.ClientId;

  SELECT e.ClientId, e.Epoch,
    (SELECT MAX(t.Sequence) FROM MPE_Outcomes t WHERE t.ClientId = e.ClientId AND t.Epoch = e.Epoch) AS OfOutcomes,
    (SELECT MAX(t.Sequence) FROM MPE_Reports t WHERE t.ClientId = e.ClientId AND t.Epoch = e.Epoch) AS OfReports,
    (SELECT MAX(t.Sequence) FROM MPE_ClientStates t WHERE t.ClientId = e.ClientId AND t.Epoch = e.Epoch) AS OfState,
    (SELECT MAX(t.Sequence) FROM MPE_KeyProofs t WHERE t.ClientId = e.ClientId AND t.Epoch = e.Epoch) AS OfProofs,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_ClientFlags f
                      WHERE f.ClientId = e.ClientId AND f.Flag = 'CLONE' AND f.Epoch = e.Epoch)
         THEN 1 ELSE 0 END AS IsClone
  FROM OPENJSON(@epochs) WITH (ClientId uniqueidentifier '$.ClientId', Epoch int '$.Epoch') e;
  ${SELECT_SEQUENCE_TWINS}

  SELECT DISTINCT c.ClientId, r.RequestId, r.VolumeId, r.KeyId, r.Deadline, r.Origin, r.NotBefore, r.Round,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_RotationDeliveries d
                      WHERE d.RequestId = r.RequestId AND d.ClientId = c.ClientId AND d.Round = r.Round)
         THEN 1 ELSE 0 END AS Delivered
  FROM ${CLIENTS}
  JOIN MPE_KeyProofs p ON p.ClientId = c.ClientId
  JOIN MPE_Keys k ON k.SecretId = p.SecretId AND k.Kind = 1
  JOIN MPE_RotationRequests r ON r.VolumeId = k.VolumeId AND r.KeyId = k.KeyId AND r.ClosedAt IS NULL
  WHERE (EXISTS (SELECT 1 FROM MPE_KeyProofs h
                   JOIN MPE_Exposures x ON x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId
                   JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId AND q.ClientId = h.ClientId
                 WHERE h.SecretId = k.SecretId)
         OR NOT EXISTS (SELECT 1 FROM MPE_Exposures x JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId
                        WHERE x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId))
    AND NOT EXISTS (
    SELECT 1 FROM MPE_Keys n JOIN MPE_KeyProofs a ON a.SecretId = n.SecretId AND a.ClientId = p.ClientId
    WHERE n.VolumeId = r.VolumeId AND n.Kind = 1 AND n.KeyId <> r.KeyId
      AND (a.Epoch > p.Epoch OR (a.Epoch = p.Epoch AND a.Sequence >= p.Sequence))
      AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = n.KeyId)
      AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = n.SecretId)
      AND NOT EXISTS (
        SELECT 1 FROM MPE_KeyProofs o
          JOIN MPE_Exposures x ON x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId
          JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId AND q.ClientId = o.ClientId
        WHERE o.SecretId = n.SecretId
          AND (o.Epoch < q.Epoch OR (o.Epoch = q.Epoch AND o.Sequence <= q.Sequence))));

  SELECT q.N
  FROM OPENJSON(@rotations) WITH (N int '$.N', ClientId uniqueidentifier '$.ClientId',
    RequestId uniqueidentifier '$.RequestId') q
  JOIN MPE_RotationRequests r ON r.RequestId = q.RequestId AND r.ClosedAt IS NULL
  WHERE EXISTS (SELECT 1 FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = q.ClientId
                WHERE k.KeyId = r.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1);`;
