import { createHash } from 'node:crypto';
import { guidToBytes, type Guid } from '../protocol/guid.js';
import type { FingerprintKey } from './fingerprint.js';
import { secretKindNumber, type SecretIdentity, type SecretKind } from './types.js';

/**
 * The identity of a secret, known before anything is written. Its id is SHA-256 over 81 fixed
 * bytes: kind (1) ‖ key ID (16) ‖ volume GUID (16) ‖ fingerprint key id (16) ‖ fingerprint (32).
 *
 * @param keyId - the protector's; for TPM_OWNER_AUTH the client id
 * @param volumeId - the volume's; for TPM_OWNER_AUTH NIL_GUID
 * @param value - the decoded value, see {@link FingerprintKey}
 */
export function identify(
  key: FingerprintKey,
  kind: SecretKind,
  keyId: Guid,
  volumeId: Guid,
  value: Uint8Array,
): SecretIdentity {
  const fingerprint = key.fingerprint(kind, keyId, value);
  const secretId = createHash('sha256')
    .update(Buffer.of(secretKindNumber(kind)))
    .update(guidToBytes(keyId))
    .update(guidToBytes(volumeId))
    .update(guidToBytes(key.id))
    .update(fingerprint)
    .digest();
  return { secretId, kind, keyId, volumeId, fingerprintKeyId: key.id, fingerprint };
}
