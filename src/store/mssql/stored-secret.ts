import { NIL_GUID } from '../../protocol/guid.js';
import { SECRET_KINDS, type SecretForm } from '../../secrets/types.js';
import type { StoredSecret } from '../site-store.js';
import { bytes, flag, guid, integer, numbered, time } from './columns.js';
import type { SqlRow } from './session.js';

const GENERATION = `s.SecretId, s.Generation, s.Form, s.DataKeyId, s.Content, s.StoredAt,
  CASE WHEN d.SecretId IS NULL THEN 0 ELSE 1 END AS Damaged`;
const DAMAGE = 'LEFT JOIN MPE_SecretDamage d ON d.SecretId = s.SecretId AND d.Generation = s.Generation';

/** The tables of generations `s`, and what {@link storedSecret} reads of them. Names of this file alone. */
export const GENERATIONS = [
  {
    table: 'MPE_KeySecrets',
    columns: `${GENERATION}, k.Kind - 1 AS Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint`,
    from: `MPE_KeySecrets s JOIN MPE_Keys k ON k.SecretId = s.SecretId ${DAMAGE}`,
  },
  {
    table: 'MPE_TpmOwnerAuthSecrets',
    columns: `${GENERATION}, 2 AS Kind, t.ClientId AS KeyId, CONVERT(uniqueidentifier, '${NIL_GUID}') AS VolumeId,
      t.FingerprintKeyId, t.Fingerprint`,
    from: `MPE_TpmOwnerAuthSecrets s JOIN MPE_TpmOwnerAuths t ON t.SecretId = s.SecretId ${DAMAGE}`,
  },
] as const;

/** A generation as the engine sees it. */
export function storedSecret(row: SqlRow): StoredSecret {
  const content: SecretForm =
    integer(row, 'Form') === 1
      ? { form: 'PLAIN', bytes: bytes(row, 'Content') }
      : { form: 'SEALED', dataKeyId: guid(row, 'DataKeyId'), bytes: bytes(row, 'Content') };
  return {
    identity: {
      secretId: bytes(row, 'SecretId'),
      kind: numbered(row, 'Kind', SECRET_KINDS),
      keyId: guid(row, 'KeyId'),
      volumeId: guid(row, 'VolumeId'),
      fingerprintKeyId: guid(row, 'FingerprintKeyId'),
      fingerprint: bytes(row, 'Fingerprint'),
    },
    generation: integer(row, 'Generation'),
    content,
    damaged: flag(row, 'Damaged'),
    storedAtMs: time(row, 'StoredAt'),
  };
}
