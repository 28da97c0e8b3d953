import { guidToBytes, type Guid } from '../protocol/guid.js';
import { secretKindNumber, type SecretKind } from './types.js';

/** Version of the form in which secrets are encrypted at rest. */
export const AT_REST_FORMAT = 1;

/** Where a ciphertext belongs. */
export interface SecretPlace {
  readonly siteGuid: Guid;
  readonly kind: SecretKind;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly dataKeyId: Guid;
}

/**
 * The data that is authenticated with a ciphertext, so that it opens in its own place alone.
 * 66 fixed bytes, GUIDs in network order:
 *
 *     offset  bytes
 *          0      1  format version, 1
 *          1     16  site GUID
 *         17      1  kind: 1 recovery password, 2 key package, 3 TPM owner authorization
 *         18     16  key ID
 *         34     16  volume GUID
 *         50     16  data key id
 */
export function associatedData(place: SecretPlace): Buffer {
  return Buffer.concat([
    Buffer.of(AT_REST_FORMAT),
    guidToBytes(place.siteGuid),
    Buffer.of(secretKindNumber(place.kind)),
    guidToBytes(place.keyId),
    guidToBytes(place.volumeId),
    guidToBytes(place.dataKeyId),
  ]);
}
