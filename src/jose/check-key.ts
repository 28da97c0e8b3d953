import { MpeError } from '../ops/errors.js';
import type { KeyAlgorithm, PublicJwk } from '../protocol/jwk.js';
import { decodeStrictBase64url } from './base64url.js';
import { isOnP256 } from './p256.js';
import { thumbprint } from './thumbprint.js';

/**
 * Checks a key before a library imports it: right kind for its `alg`, RSA of 2048 to 4096 bits with
 * exponent 65537, EC a point of P-256, and `kid` its own thumbprint. The key is one that we hold or
 * stored, so a failure is a damaged or foreign key, not a hostile token.
 *
 * @param allowed - the algorithms that the caller can use
 * @throws MpeError VALUE_INVALID naming the rule; no key material in the text.
 */
export function checkKey(jwk: PublicJwk, allowed: readonly KeyAlgorithm[]): void {
  const refuse = (problem: string) => new MpeError('VALUE_INVALID', `key ${jwk.kid}: ${problem}`);
  if (!allowed.includes(jwk.alg)) throw refuse(`is for ${jwk.alg}, not for ${allowed.join(' or ')}`);
  if (jwk.kty !== (jwk.alg === 'RSA-OAEP-256' ? 'RSA' : 'EC'))
    throw refuse(`${jwk.kty} is not for ${jwk.alg}`);
  if (jwk.kty === 'RSA') {
    const modulus = decodeStrictBase64url(jwk.n ?? '');
    if (modulus === undefined || modulus.length < 256 || modulus.length > 512 || modulus[0] === 0) {
      throw refuse('an RSA key has 2048 to 4096 bits');
    }
    if (jwk.e !== 'AQAB') throw refuse('the exponent of an RSA key is 65537');
  } else {
    const [x, y] = [jwk.x, jwk.y].map((text) => decodeStrictBase64url(text ?? ''));
    if (jwk.crv !== 'P-256' || x === undefined || y === undefined || !isOnP256(x, y)) {
      throw refuse('is not a point of P-256');
    }
  }
  if (thumbprint(jwk) !== jwk.kid) throw refuse('its id is not its thumbprint');
}
