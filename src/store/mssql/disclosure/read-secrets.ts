import { NIL_GUID, type Guid } from '../../../protocol/guid.js';
import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import { SECRET_KINDS, type SecretForm } from '../../../secrets/types.js';
import type { DisclosableSecret, SecretHolder, StoredGeneration } from '../../disclosure-store.js';
import { bytes, flag, guid, integer, numbered, text, textOrNull, time, timeOrNull } from '../columns.js';
import { hexOf } from '../json-rows.js';
import { guidOf } from '../parameters.js';
import type { Session, SqlRow } from '../session.js';

/** Every recovery password and package of a key ID, oldest first. One round trip. */
export async function readKey(session: Session, keyId: Guid): Promise<DisclosableSecret[]> {
  return secretsOf(await session.query(KEY, { id: guidOf(keyId) }), keyId);
}

/** Every TPM owner authorization that a client sent, the newest first. One round trip. */
export async function readOwnerAuths(session: Session, clientId: Guid): Promise<DisclosableSecret[]> {
  return secretsOf(await session.query(OWNER_AUTH, { id: guidOf(clientId) }), clientId);
}

function secretsOf(sets: readonly SqlRow[][], keyId: Guid): DisclosableSecret[] {
  const [secrets = [], generations = [], holders = [], users = []] = sets;
  const own = (rows: readonly SqlRow[], secret: SqlRow): SqlRow[] =>
    rows.filter((row) => hexOf(bytes(row, 'SecretId')) === hexOf(bytes(secret, 'SecretId')));
  return secrets.map((row) => ({
    identity: {
      secretId: bytes(row, 'SecretId'),
      kind: numbered(row, 'Kind', SECRET_KINDS),
      keyId: guid(row, 'KeyId'),
      volumeId: guid(row, 'VolumeId'),
      fingerprintKeyId: guid(row, 'FingerprintKeyId'),
      fingerprint: bytes(row, 'Fingerprint'),
    },
    firstStoredAtMs: time(row, 'FirstStoredAt'),
    volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
    generations: own(generations, row).map(generationOf),
    holders: own(holders, row)
      .map((holder) => holderOf(holder, users, keyId))
      .sort((a, b) => b.provenAtMs - a.provenAtMs || (a.clientId < b.clientId ? -1 : 1)),
    exposedAtMs: timeOrNull(row, 'ExposedAt'),
  }));
}

function generationOf(row: SqlRow): StoredGeneration {
  const content: SecretForm =
    integer(row, 'Form') === 1
      ? { form: 'PLAIN', bytes: bytes(row, 'Content') }
      : { form: 'SEALED', dataKeyId: guid(row, 'DataKeyId'), bytes: bytes(row, 'Content') };
  return {
    ...{ generation: integer(row, 'Generation'), content, healthy: flag(row, 'Healthy') },
    storedAtMs: time(row, 'StoredAt'),
  };
}

function holderOf(row: SqlRow, users: readonly SqlRow[], keyId: Guid): SecretHolder {
  const clientId = guid(row, 'ClientId');
  const keyIds = textOrNull(row, 'KeyIds');
  return {
    clientId,
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    provenAtMs: time(row, 'ProvenAt'),
    current: keyIds !== null && (JSON.parse(keyIds) as string[]).includes(keyId),
    reportedAtMs: timeOrNull(row, 'ReportedAt'),
    driveLabel: textOrNull(row, 'DriveLabel') ?? '',
    volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
    users: users
      .filter((user) => guid(user, 'ClientId') === clientId)
      .map((user) => ({ domain: text(user, 'Domain'), name: text(user, 'Name') })),
  };
}

const GENERATION = `s.SecretId, s.Generation, s.Form, s.DataKeyId, s.Content, s.StoredAt,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_HealthySecrets h
                      WHERE h.SecretId = s.SecretId AND h.Generation = s.Generation) THEN 1 ELSE 0 END AS Healthy`;

const KEY = `
  SELECT k.SecretId, k.Kind - 1 AS Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint, k.FirstStoredAt,
    COALESCE((SELECT v.VolumeTypeId FROM RecoveryAndHardwareCore_Volumes v WHERE v.Id = k.VolumeId), 0) AS VolumeType,
    (SELECT MAX(e.ExposedAt) FROM MPE_Exposures e WHERE e.KeyId = k.KeyId) AS ExposedAt
  FROM MPE_Keys k WHERE k.KeyId = @id ORDER BY k.FirstStoredAt, k.Id;

  SELECT ${GENERATION}
  FROM MPE_Keys k JOIN MPE_KeySecrets s ON s.SecretId = k.SecretId
  WHERE k.KeyId = @id ORDER BY s.Generation DESC;

  SELECT p.SecretId, p.ClientId, p.ProvenAt, m.Name, m.DomainName, r.ReportedAt, r.DriveLabel, r.KeyIds,
    COALESCE(r.VolumeType, 0) AS VolumeType
  FROM MPE_Keys k
    JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
  WHERE k.KeyId = @id;

  SELECT u.ClientId, u.Domain, u.Name
  FROM MPE_ClientUsers u
  WHERE u.ClientId IN (SELECT p.ClientId FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
                       WHERE k.KeyId = @id)
  ORDER BY u.ClientId, u.Position;`;

/** The client reports itself: what it sent is its present one as far as anybody knows. */
const OWN_ID = `'["' + LOWER(CONVERT(char(36), p.ClientId)) + '"]'`;

const OWNER_AUTH = `
  SELECT t.SecretId, 2 AS Kind, t.ClientId AS KeyId, CONVERT(uniqueidentifier, '${NIL_GUID}') AS VolumeId,
    t.FingerprintKeyId, t.Fingerprint, t.FirstStoredAt, 0 AS VolumeType, CONVERT(datetime2(3), NULL) AS ExposedAt
  FROM MPE_TpmOwnerAuths t WHERE t.ClientId = @id ORDER BY t.FirstStoredAt DESC, t.Id DESC;

  SELECT ${GENERATION}
  FROM MPE_TpmOwnerAuths t JOIN MPE_TpmOwnerAuthSecrets s ON s.SecretId = t.SecretId
  WHERE t.ClientId = @id ORDER BY s.Generation DESC;

  SELECT p.SecretId, p.ClientId, p.ProvenAt, m.Name, m.DomainName, CONVERT(datetime2(3), NULL) AS ReportedAt,
    CONVERT(nvarchar(128), NULL) AS DriveLabel, ${OWN_ID} AS KeyIds, 0 AS VolumeType
  FROM MPE_TpmOwnerAuths t
    JOIN MPE_TpmOwnerAuthProofs p ON p.SecretId = t.SecretId
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
  WHERE t.ClientId = @id;

  SELECT u.ClientId, u.Domain, u.Name FROM MPE_ClientUsers u WHERE u.ClientId = @id ORDER BY u.Position;`;
