import { createHmac } from 'node:crypto';
import { MpeError } from '../ops/errors.js';
import { guidToBytes, type Guid } from '../protocol/guid.js';
import { secretKindNumber, type SecretKind } from './types.js';

/** Bytes of a fingerprint key and of a fingerprint. */
export const FINGERPRINT_BYTES = 32;

/**
 * Compares secrets without decrypting them: HMAC-SHA-256 under a key that only this site's workers
 * hold, over
 *
 *     kind (1 byte) ‖ key ID (16 bytes, network order) ‖ decoded value
 *
 * The decoded value is what the notation stands for: the 16 bytes of a recovery password, the bytes
 * of a package, the 20 bytes of an owner authorization. So the same password written with or
 * without hyphens has one fingerprint.
 */
export class FingerprintKey {
  readonly id: Guid;
  readonly #key: Buffer;

  /**
   * @param key - 32 bytes
   * @throws MpeError INTERNAL where it has another length
   */
  constructor(id: Guid, key: Uint8Array) {
    if (key.length !== FINGERPRINT_BYTES) {
      throw new MpeError('INTERNAL', `a fingerprint key has 32 bytes, this has ${key.length}`);
    }
    this.id = id;
    this.#key = Buffer.from(key);
  }

  /** The fingerprint of a decoded value, 32 bytes. */
  fingerprint(kind: SecretKind, keyId: Guid, value: Uint8Array): Buffer {
    return createHmac('sha256', this.#key)
      .update(Buffer.of(secretKindNumber(kind)))
      .update(guidToBytes(keyId))
      .update(value)
      .digest();
  }
}
