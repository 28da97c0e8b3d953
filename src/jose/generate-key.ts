import { generateKeyPair, type JsonWebKey } from 'node:crypto';
import { promisify } from 'node:util';
import { MpeError } from '../ops/errors.js';
import type { KeyAlgorithm, PrivateJwk, PublicJwk } from '../protocol/jwk.js';
import { thumbprint } from './thumbprint.js';

const generate = promisify(generateKeyPair);

/**
 * A new key pair as a private JWK, its `kid` the thumbprint, its `alg` the one algorithm it is for.
 *
 * @param bits - of an RSA key, 2048 to 4096
 */
export async function generatePrivateKey(alg: KeyAlgorithm, bits = 3072): Promise<PrivateJwk> {
  if (alg === 'RSA-OAEP-256') {
    if (bits < 2048 || bits > 4096) throw new MpeError('VALUE_INVALID', 'RSA keys have 2048 to 4096 bits');
    const { privateKey } = await generate('rsa', { modulusLength: bits, publicExponent: 0x10001 });
    const { n, e, d, p, q, dp, dq, qi } = complete(privateKey.export({ format: 'jwk' }));
    const kid = thumbprint({ kty: 'RSA', n, e });
    return { kty: 'RSA', kid, alg, n, e, d, p, q, dp, dq, qi };
  }
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
  const { x, y, d } = complete(privateKey.export({ format: 'jwk' }));
  const kid = thumbprint({ kty: 'EC', crv: 'P-256', x, y });
  return { kty: 'EC', kid, alg, crv: 'P-256', x, y, d };
}

/** The public part of a key: copied member by member, so that no private member can slip through. */
export function publicPart(jwk: PublicJwk): PublicJwk {
  const { kid, alg } = jwk;
  return jwk.kty === 'RSA'
    ? { kty: 'RSA', kid, alg, n: jwk.n ?? '', e: jwk.e ?? '' }
    : { kty: 'EC', kid, alg, crv: 'P-256', x: jwk.x ?? '', y: jwk.y ?? '' };
}

type Member = 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi' | 'x' | 'y';

function complete(jwk: JsonWebKey): Record<Member, string> {
  // Which members there are depends on the kind of key; the callers take those of theirs.
  return jwk as Record<Member, string>;
}
