import { isMpeError, MpeError } from '../ops/errors.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import { decodedValue, verifySecret } from '../secrets/verify-secret.js';
import type { StoredSecret } from '../store/site-store.js';
import type { DataKeyCache } from './data-key-cache.js';

/** Why a secret under an opened data key is no good. */
export type DamageReason =
  /** Its bytes do not open in their place. */
  | 'CIPHERTEXT_DAMAGED'
  /** It names the sentinel as its data key. */
  | 'SENTINEL_KEY'
  /** It opens, and is not the value of its identity. */
  | 'VALUE_DIFFERS';

/** What the canary found in one stored secret. */
export type Finding =
  | { readonly kind: 'ok' }
  /** Nothing can be said of the secret: its data key does not open. */
  | { readonly kind: 'waits'; readonly reason: string }
  | { readonly kind: 'damaged'; readonly reason: DamageReason };

const OWN_FAULTS: readonly string[] = ['CIPHERTEXT_DAMAGED', 'SENTINEL_KEY'];

/**
 * Opens a stored secret and says whether it is what it should be. What was opened is overwritten and
 * never leaves.
 *
 * @param fingerprintKey - null where this host does not hold the worker secret: then the form of the
 *   value is checked and not its fingerprint
 */
export async function checkSecret(
  keys: DataKeyCache,
  fingerprintKey: FingerprintKey | null,
  secret: StoredSecret,
): Promise<Finding> {
  const { identity, content } = secret;
  if (fingerprintKey !== null && identity.fingerprintKeyId === fingerprintKey.id) {
    const check = await verifySecret(keys, fingerprintKey, identity, content);
    if (check.kind === 'ok') return check;
    return check.kind === 'differs' ? { kind: 'damaged', reason: 'VALUE_DIFFERS' } : verdict(check.reason);
  }
  let plaintext: Buffer;
  try {
    plaintext = await keys.open(identity, content);
  } catch (error) {
    if (isMpeError(error, 'SECRET_UNREADABLE')) return verdict(String(error.facts['reason']));
    throw error;
  }
  try {
    decodedValue(identity.kind, plaintext);
    return { kind: 'ok' };
  } catch (error) {
    if (error instanceof MpeError && error.code === 'VALUE_INVALID')
      return { kind: 'damaged', reason: 'VALUE_DIFFERS' };
    throw error;
  } finally {
    plaintext.fill(0);
  }
}

function verdict(reason: string): Finding {
  return OWN_FAULTS.includes(reason)
    ? { kind: 'damaged', reason: reason as DamageReason }
    : { kind: 'waits', reason };
}
