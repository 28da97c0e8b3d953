import type { PrivateJwk } from '../protocol/jwk.js';
import { cannotOpen, kidUnknown } from './cannot-open.js';
import { checkKey } from './check-key.js';
import { guard } from './guard.js';
import { decryptNative } from './native-jwe.js';
import { decryptCompact, importKey, type LibraryKey } from './node-jose.js';
import type { SealedType } from './seal.js';

interface OpeningKey {
  readonly alg: PrivateJwk['alg'];
  readonly key: LibraryKey;
  readonly jwk: PrivateJwk;
  /** Bytes of an encrypted key: an RSA ciphertext is as long as the modulus. */
  readonly rsaBytes: number | null;
}

/** Private keys to open tokens with, found by `kid` alone: no key is ever tried. */
export class OpeningKeys {
  private constructor(private readonly keys: ReadonlyMap<string, OpeningKey>) {}

  /**
   * @throws MpeError VALUE_INVALID where a key is damaged or for another purpose.
   */
  static async from(keys: readonly PrivateJwk[]): Promise<OpeningKeys> {
    const map = new Map<string, OpeningKey>();
    for (const jwk of keys) {
      checkKey(jwk, ['RSA-OAEP-256', 'ECDH-ES+A256KW']);
      const rsaBytes = jwk.kty === 'RSA' ? Buffer.from(jwk.n ?? '', 'base64url').length : null;
      map.set(jwk.kid, { alg: jwk.alg, key: await importKey(jwk), jwk, rsaBytes });
    }
    return new OpeningKeys(map);
  }

  /** Whether a key with this id is held. */
  has(kid: string): boolean {
    return this.keys.has(kid);
  }

  /** The ids of all keys held. */
  kids(): string[] {
    return [...this.keys.keys()];
  }

  /** For `open` alone. */
  get(kid: string): OpeningKey | undefined {
    return this.keys.get(kid);
  }
}

/**
 * Opens a token that was sealed to one of our keys.
 *
 * @returns the payload, and the id of the key
 * @throws MpeError KID_UNKNOWN (`facts.kid`) where the key is not held; CANNOT_OPEN for everything
 * else, its text for the operator's log.
 */
export async function open(
  token: string,
  typ: SealedType,
  keys: OpeningKeys,
): Promise<{ payload: Buffer; kid: string }> {
  const { alg, kid } = guard(token, typ);
  const opening = keys.get(kid);
  if (opening === undefined) throw kidUnknown(typ, kid);
  if (opening.alg !== alg) throw cannotOpen(typ, `key ${kid} is for ${opening.alg}, the token says ${alg}`);
  if (opening.rsaBytes !== null) {
    const encryptedKey = Buffer.from(token.split('.', 2)[1] ?? '', 'base64url');
    if (encryptedKey.length !== opening.rsaBytes) {
      throw cannotOpen(typ, `the encrypted key does not have the length of key ${kid}`);
    }
  }
  try {
    const payload =
      typ === 'mpe-dk' && alg === 'RSA-OAEP-256'
        ? await decryptNative(token, opening.jwk)
        : await decryptCompact(token, opening.key, alg);
    return { payload, kid };
  } catch (error) {
    throw cannotOpen(typ, `does not open with key ${kid}`, error);
  }
}
