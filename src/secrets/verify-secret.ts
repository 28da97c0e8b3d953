import { MpeError } from '../ops/errors.js';
import { parseRecoveryPassword } from '../protocol/recovery-password.js';
import type { FingerprintKey } from './fingerprint.js';
import type { SecretOpener } from './open-secret.js';
import { identify } from './secret-identity.js';
import type { SecretForm, SecretIdentity, SecretKind } from './types.js';

/** What a check of a stored secret found. */
export type SecretCheck =
  | { readonly kind: 'ok' }
  /** It does not open. */
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** It opens, and is not what its identity says. */
  | { readonly kind: 'differs' };

/** The decoded value of an opened secret: what its fingerprint is taken over. */
export function decodedValue(kind: SecretKind, plaintext: Buffer): Buffer {
  return kind === 'RECOVERY_PASSWORD' ? parseRecoveryPassword(plaintext.toString('utf8')).bytes : plaintext;
}

/** Opens a stored secret, recomputes its identity and compares. Never returns what it opened. */
export async function verifySecret(
  opener: Pick<SecretOpener, 'open'>,
  fingerprintKey: FingerprintKey,
  identity: SecretIdentity,
  content: SecretForm,
): Promise<SecretCheck> {
  let plaintext: Buffer;
  try {
    plaintext = await opener.open(identity, content);
  } catch (error) {
    if (!(error instanceof MpeError) || error.code !== 'SECRET_UNREADABLE') throw error;
    return { kind: 'unreadable', reason: String(error.facts['reason'] ?? 'UNKNOWN') };
  }
  if (identity.fingerprintKeyId !== fingerprintKey.id) return { kind: 'differs' };
  try {
    const { kind, keyId, volumeId } = identity;
    const value = decodedValue(kind, plaintext);
    const again = identify(fingerprintKey, kind, keyId, volumeId, value);
    const same =
      Buffer.from(again.fingerprint).equals(identity.fingerprint) &&
      Buffer.from(again.secretId).equals(identity.secretId);
    return same ? { kind: 'ok' } : { kind: 'differs' };
  } catch (error) {
    // An opened text that is no recovery password.
    if (error instanceof MpeError && error.code === 'VALUE_INVALID') return { kind: 'differs' };
    throw error;
  } finally {
    plaintext.fill(0);
  }
}
