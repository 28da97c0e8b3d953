import type { PublicJwk } from '../protocol/jwk.js';
import { cannotOpen, kidUnknown } from './cannot-open.js';
import { checkKey } from './check-key.js';
import { guard } from './guard.js';
import { importKey, verifyCompact } from './node-jose.js';
import type { JwsType } from './token-rules.js';

/**
 * The key id that a signed token names, so that the caller can look the key up. Nothing is verified.
 *
 * @throws MpeError CANNOT_OPEN where the token does not pass the guard.
 */
export function peekKid(token: string, typ: JwsType): string {
  return guard(token, typ).kid;
}

/**
 * Verifies a signed token with the key that it names.
 *
 * @returns the signed bytes, and the id of the key
 * @throws MpeError KID_UNKNOWN (`facts.kid`) where the token names another key; CANNOT_OPEN where it
 * does not verify; VALUE_INVALID where the key itself is damaged.
 */
export async function verify(
  token: string,
  typ: JwsType,
  key: PublicJwk,
): Promise<{ payload: Buffer; kid: string }> {
  const { alg, kid } = guard(token, typ);
  if (kid !== key.kid) throw kidUnknown(typ, kid);
  checkKey(key, ['ES256']);
  try {
    return { payload: await verifyCompact(token, await importKey(key), alg), kid };
  } catch (error) {
    throw cannotOpen(typ, `the signature does not verify with key ${kid}`, error);
  }
}
