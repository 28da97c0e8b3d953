import { MpeError } from '../ops/errors.js';

/** Bytes of a TPM owner authorization: a SHA-1 value. */
export const TPM_OWNER_AUTH_BYTES = 20;

/**
 * Checks a TPM owner authorization (the "TPM password hash"): exactly 20 bytes, any content. It is
 * compared as bytes, never as text, because its base64 form is case-sensitive.
 *
 * Source: Win32_Tpm.ConvertToOwnerAuth (a 20-byte value, 28 characters of base64).
 *
 * @throws MpeError VALUE_INVALID with `facts.reason` TPM_OWNER_AUTH_INVALID.
 */
export function checkTpmOwnerAuth(bytes: Uint8Array): void {
  if (bytes.length !== TPM_OWNER_AUTH_BYTES) {
    throw new MpeError(
      'VALUE_INVALID',
      `a TPM owner authorization has ${String(TPM_OWNER_AUTH_BYTES)} bytes, this has ${String(bytes.length)}`,
      { facts: { reason: 'TPM_OWNER_AUTH_INVALID' } },
    );
  }
}
