import { isMpeError } from '../../ops/errors.js';
import type { FingerprintKey } from '../../secrets/fingerprint.js';
import { identify } from '../../secrets/secret-identity.js';
import type { SecretForm, SecretIdentity } from '../../secrets/types.js';
import { decodedValue } from '../../secrets/verify-secret.js';
import type { DisclosableSecret } from '../../store/disclosure-store.js';

/** What opens stored secrets: the data keys that the certificate opens. */
export interface SecretSource {
  /** @throws MpeError SECRET_UNREADABLE */
  open(identity: SecretIdentity, content: SecretForm): Promise<Buffer>;
  /** Takes the data keys as the database has them now. */
  refresh(): Promise<void>;
}

/** What became of opening a secret. */
export type Opened =
  | {
      readonly kind: 'open';
      readonly plaintext: Buffer;
      readonly storedAtMs: number;
      readonly bad: readonly BadGeneration[];
    }
  | {
      readonly kind: 'closed';
      readonly why: 'DAMAGED' | 'KEY_VERSION_UNAVAILABLE';
      /** Which key is missing, or what is wrong; names and codes alone. */
      readonly detail: string;
      readonly bad: readonly BadGeneration[];
    };

/** A generation whose own bytes are at fault; it may be marked. */
export interface BadGeneration {
  readonly generation: number;
  readonly reason: 'CIPHERTEXT_DAMAGED' | 'SENTINEL_KEY' | 'VALUE_DIFFERS';
}

const OWN_FAULTS: readonly string[] = ['CIPHERTEXT_DAMAGED', 'SENTINEL_KEY'];

/**
 * Opens the newest healthy generation of a secret that opens and is what its identity says; else the
 * next older one.
 *
 * @param fingerprintKey null where this host does not hold the worker secret: then only the form of the
 *   value is checked
 */
export async function openGenerations(
  source: SecretSource,
  fingerprintKey: FingerprintKey | null,
  secret: DisclosableSecret,
): Promise<Opened> {
  const bad: BadGeneration[] = [];
  let missing: string | null = null;
  let refreshed = false;
  for (const { generation, content, healthy, storedAtMs } of secret.generations) {
    if (!healthy) continue;
    for (;;) {
      const found = await openOne(source, fingerprintKey, secret.identity, content);
      if (typeof found !== 'string') return { kind: 'open', plaintext: found, storedAtMs, bad };
      if (found === 'DATA_KEY_UNKNOWN' && !refreshed) {
        // A worker made it since this process last read the data keys.
        refreshed = true;
        await source.refresh();
        continue;
      }
      if (found === 'VALUE_DIFFERS' || OWN_FAULTS.includes(found))
        bad.push({ generation, reason: found as BadGeneration['reason'] });
      else missing ??= `${found}, data key ${content.form === 'SEALED' ? content.dataKeyId : 'none'}`;
      break;
    }
  }
  if (missing !== null) return { kind: 'closed', why: 'KEY_VERSION_UNAVAILABLE', detail: missing, bad };
  const detail = bad.length === 0 ? 'every stored copy is marked as damaged' : (bad[0]?.reason ?? '');
  return { kind: 'closed', why: 'DAMAGED', detail, bad };
}

/** The plaintext, or why there is none. */
async function openOne(
  source: SecretSource,
  fingerprintKey: FingerprintKey | null,
  identity: SecretIdentity,
  content: SecretForm,
): Promise<Buffer | string> {
  let plaintext: Buffer;
  try {
    plaintext = await source.open(identity, content);
  } catch (error) {
    if (isMpeError(error, 'SECRET_UNREADABLE')) return String(error.facts['reason'] ?? 'UNKNOWN');
    throw error;
  }
  if (isValue(fingerprintKey, identity, plaintext)) return plaintext;
  plaintext.fill(0);
  return 'VALUE_DIFFERS';
}

function isValue(
  fingerprintKey: FingerprintKey | null,
  identity: SecretIdentity,
  plaintext: Buffer,
): boolean {
  try {
    const value = decodedValue(identity.kind, plaintext);
    if (fingerprintKey?.id !== identity.fingerprintKeyId) return true;
    const again = identify(fingerprintKey, identity.kind, identity.keyId, identity.volumeId, value);
    return Buffer.compare(again.secretId, identity.secretId) === 0;
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return false;
    throw error;
  }
}
