import { OpeningKeys, thumbprint, unwrapSecret } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { FINGERPRINT_BYTES, FingerprintKey } from './fingerprint.js';
import type { WorkerSecret } from './key-files.js';
import type { PrivateJwk } from '../protocol/jwk.js';

/** A row of sealing keys, as far as opening it needs. */
export interface SealingKeyLike {
  readonly kid: string;
  readonly alg: 'RSA-OAEP-256' | 'ECDH-ES+A256KW';
  /** JWE, typ mpe-sk, under the worker secret. */
  readonly wrappedPrivate: string;
}

/** A row of the fingerprint key. */
export interface FingerprintKeyLike {
  readonly fingerprintKeyId: Guid;
  readonly wrapped: string;
}

function foreign(what: string, cause?: unknown): MpeError {
  return new MpeError(
    'SITE_MISMATCH',
    `${what} does not open with the worker secret of the key folder: the folder, or the database, belongs ` +
      'to another site or was restored from another time. Check MPE_KEYS_DIR and MPE_STORE_URL.',
    { cause },
  );
}

/**
 * Opens the private parts of the sealing keys.
 *
 * @throws MpeError SITE_MISMATCH where one does not open or is not the key that its row names
 */
export async function openSealingKeys(
  rows: readonly SealingKeyLike[],
  secret: WorkerSecret,
): Promise<OpeningKeys> {
  return OpeningKeys.from(await Promise.all(rows.map((row) => openSealingKey(row, secret))));
}

/**
 * Opens the private part of one sealing key.
 *
 * @throws MpeError SITE_MISMATCH as {@link openSealingKeys}
 */
export async function openSealingKey(row: SealingKeyLike, secret: WorkerSecret): Promise<PrivateJwk> {
  const what = `sealing key ${row.kid}`;
  let jwk: PrivateJwk;
  try {
    jwk = JSON.parse((await unwrapSecret(row.wrappedPrivate, secret)).toString('utf8')) as PrivateJwk;
  } catch (cause) {
    throw foreign(what, cause);
  }
  // A row that was swapped for another key of the site opens, and is still refused.
  if (jwk.kid !== row.kid || jwk.alg !== row.alg || thumbprint(jwk) !== row.kid) {
    throw new MpeError('SITE_MISMATCH', `${what}: the database holds another key under this name`);
  }
  return jwk;
}

/**
 * Opens the fingerprint key.
 *
 * @throws MpeError SITE_MISMATCH where it does not open
 */
export async function openFingerprintKey(
  row: FingerprintKeyLike,
  secret: WorkerSecret,
): Promise<FingerprintKey> {
  let key: Buffer;
  try {
    key = await unwrapSecret(row.wrapped, secret);
  } catch (cause) {
    throw foreign(`fingerprint key ${row.fingerprintKeyId}`, cause);
  }
  if (key.length !== FINGERPRINT_BYTES) throw foreign(`fingerprint key ${row.fingerprintKeyId}`);
  return new FingerprintKey(row.fingerprintKeyId, key);
}
