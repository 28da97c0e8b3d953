import { MpeError } from '../ops/errors.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { checkKey } from './check-key.js';
import { guard } from './guard.js';
import { importKey, signCompact } from './node-jose.js';
import type { JwsType } from './token-rules.js';

/**
 * Signs a payload: compact JWS, ES256 (64 bytes, r and s), header exactly `alg`, `typ`, `kid`.
 *
 * @param payload - 1 byte or more
 * @throws MpeError VALUE_INVALID where the key is not for ES256, or there is no payload.
 */
export async function sign(payload: Uint8Array, key: PrivateJwk, typ: JwsType): Promise<string> {
  if (payload.length === 0) throw new MpeError('VALUE_INVALID', `${typ}: there is nothing to sign`);
  checkKey(key, ['ES256']);
  const token = await signCompact({ alg: 'ES256', typ, kid: key.kid }, await importKey(key), payload);
  guard(token, typ);
  return token;
}
