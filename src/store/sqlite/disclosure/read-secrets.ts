import { NIL_GUID, type Guid } from '../../../protocol/guid.js';
import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import { SECRET_KINDS, type SecretForm } from '../../../secrets/types.js';
import type { DisclosableSecret, SecretHolder, StoredGeneration } from '../../disclosure-store.js';
import { bytes, flag, guid, integer, integerOrNull, numbered, text, textOrNull } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/** Every recovery password and package of a key ID, oldest first. */
export function readKey(c: Connection, keyId: Guid): DisclosableSecret[] {
  return c.snapshot(() =>
    c
      .all(
        `SELECT k.SecretId, k.Kind - 1 AS Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint, k.FirstStoredAt,
           (SELECT VolumeTypeId FROM RecoveryAndHardwareCore_Volumes WHERE Id = k.VolumeId) AS VolumeType,
           (SELECT max(e.ExposedAt) FROM MPE_Exposures e WHERE e.KeyId = k.KeyId) AS ExposedAt
         FROM MPE_Keys k WHERE k.KeyId = ? ORDER BY k.FirstStoredAt, k.Id`,
        keyId,
      )
      .map((row) => secretOf(c, row, 'MPE_KeySecrets', keyHolders(c, row))),
  );
}

/** Every TPM owner authorization that a client sent, the newest first. */
export function readOwnerAuths(c: Connection, clientId: Guid): DisclosableSecret[] {
  return c.snapshot(() =>
    c
      .all(
        `SELECT t.SecretId, 2 AS Kind, t.ClientId AS KeyId, '${NIL_GUID}' AS VolumeId, t.FingerprintKeyId, t.Fingerprint,
           t.FirstStoredAt, 0 AS VolumeType, NULL AS ExposedAt
         FROM MPE_TpmOwnerAuths t WHERE t.ClientId = ? ORDER BY t.FirstStoredAt DESC, t.Id DESC`,
        clientId,
      )
      .map((row) => secretOf(c, row, 'MPE_TpmOwnerAuthSecrets', ownerHolders(c, row))),
  );
}

function secretOf(
  c: Connection,
  row: SqlRow,
  table: 'MPE_KeySecrets' | 'MPE_TpmOwnerAuthSecrets',
  holders: readonly SecretHolder[],
): DisclosableSecret {
  return {
    identity: {
      secretId: bytes(row, 'SecretId'),
      kind: numbered(row, 'Kind', SECRET_KINDS),
      keyId: guid(row, 'KeyId'),
      volumeId: guid(row, 'VolumeId'),
      fingerprintKeyId: guid(row, 'FingerprintKeyId'),
      fingerprint: bytes(row, 'Fingerprint'),
    },
    firstStoredAtMs: integer(row, 'FirstStoredAt'),
    volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
    generations: generations(c, bytes(row, 'SecretId'), table),
    holders,
    exposedAtMs: integerOrNull(row, 'ExposedAt'),
  };
}

function generations(c: Connection, secretId: Uint8Array, table: string): StoredGeneration[] {
  return c
    .all(
      `SELECT s.Generation, s.Form, s.DataKeyId, s.Content, s.StoredAt,
         EXISTS (SELECT 1 FROM MPE_HealthySecrets h
                 WHERE h.SecretId = s.SecretId AND h.Generation = s.Generation) AS Healthy
       FROM ${table} s WHERE s.SecretId = ? ORDER BY s.Generation DESC`,
      secretId,
    )
    .map((row) => {
      const content: SecretForm =
        integer(row, 'Form') === 1
          ? { form: 'PLAIN', bytes: bytes(row, 'Content') }
          : { form: 'SEALED', dataKeyId: guid(row, 'DataKeyId'), bytes: bytes(row, 'Content') };
      return {
        ...{ generation: integer(row, 'Generation'), content, healthy: flag(row, 'Healthy') },
        storedAtMs: integer(row, 'StoredAt'),
      };
    });
}

function keyHolders(c: Connection, key: SqlRow): SecretHolder[] {
  return c
    .all(
      `SELECT p.ClientId, p.ProvenAt, m.Name, m.DomainName, r.ReportedAt, r.DriveLabel, coalesce(r.VolumeType, 0) AS VolumeType,
         coalesce(EXISTS (SELECT 1 FROM json_each(r.KeyIds) j WHERE j.value = ?2), 0) AS Current
       FROM MPE_KeyProofs p
         JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
         LEFT JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = ?3
       WHERE p.SecretId = ?1 ORDER BY p.ProvenAt DESC, p.ClientId`,
      bytes(key, 'SecretId'),
      guid(key, 'KeyId'),
      guid(key, 'VolumeId'),
    )
    .map((row) => holderOf(c, row));
}

function ownerHolders(c: Connection, auth: SqlRow): SecretHolder[] {
  return c
    .all(
      `SELECT p.ClientId, p.ProvenAt, m.Name, m.DomainName, NULL AS ReportedAt, NULL AS DriveLabel, 0 AS VolumeType, 1 AS Current
       FROM MPE_TpmOwnerAuthProofs p JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
       WHERE p.SecretId = ? ORDER BY p.ProvenAt DESC, p.ClientId`,
      bytes(auth, 'SecretId'),
    )
    .map((row) => holderOf(c, row));
}

function holderOf(c: Connection, row: SqlRow): SecretHolder {
  const clientId = guid(row, 'ClientId');
  return {
    clientId,
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    provenAtMs: integer(row, 'ProvenAt'),
    current: flag(row, 'Current'),
    reportedAtMs: integerOrNull(row, 'ReportedAt'),
    driveLabel: textOrNull(row, 'DriveLabel') ?? '',
    volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
    users: c
      .all('SELECT Domain, Name FROM MPE_ClientUsers WHERE ClientId = ? ORDER BY rowid', clientId)
      .map((user) => ({ domain: text(user, 'Domain'), name: text(user, 'Name') })),
  };
}
