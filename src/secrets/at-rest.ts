import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { AT_REST_FORMAT, associatedData, type SecretPlace } from './associated-data.js';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES;

/** Bytes of a data key: AES-256. */
export const DATA_KEY_BYTES = 32;

/**
 * Encrypts a secret for its place: AES-256-GCM with a random 96-bit nonce.
 *
 * @returns format version (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
 */
export function encryptAtRest(dataKey: Uint8Array, place: SecretPlace, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(place));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.of(AT_REST_FORMAT), nonce, body, cipher.getAuthTag()]);
}

/**
 * Opens what {@link encryptAtRest} made.
 *
 * @returns the plaintext, or null where key, place or bytes are not those of the encryption
 */
export function decryptAtRest(dataKey: Uint8Array, place: SecretPlace, bytes: Uint8Array): Buffer | null {
  if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== AT_REST_FORMAT) return null;
  const decipher = createDecipheriv('aes-256-gcm', dataKey, bytes.subarray(1, HEAD_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(associatedData(place));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    return Buffer.concat([
      decipher.update(bytes.subarray(HEAD_BYTES, bytes.length - TAG_BYTES)),
      decipher.final(),
    ]);
  } catch {
    return null;
  }
}
