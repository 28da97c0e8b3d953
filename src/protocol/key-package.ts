import { MpeError } from '../ops/errors.js';
import { LIMITS } from './vocabulary.js';

/**
 * Checks a key package: 1 byte to 16 KiB, opaque otherwise.
 *
 * Source: Win32_EncryptableVolume.GetKeyPackage (opaque bytes for repair-bde). No size is published;
 * the cap is ours, far above the few kilobytes that occur.
 *
 * @throws MpeError VALUE_INVALID with `facts.reason` KEY_PACKAGE_EMPTY or KEY_PACKAGE_TOO_LARGE.
 */
export function checkKeyPackage(bytes: Uint8Array): void {
  if (bytes.length === 0) {
    throw new MpeError('VALUE_INVALID', 'the key package is empty', {
      facts: { reason: 'KEY_PACKAGE_EMPTY' },
    });
  }
  if (bytes.length > LIMITS.keyPackageBytes) {
    throw new MpeError(
      'VALUE_INVALID',
      `a key package has at most ${String(LIMITS.keyPackageBytes)} bytes, this has ${String(bytes.length)}`,
      { facts: { reason: 'KEY_PACKAGE_TOO_LARGE' } },
    );
  }
}
