import { createHash } from 'node:crypto';
import type { PublicJwk } from '../protocol/jwk.js';

/** The members of a key that its thumbprint is made of (RFC 7638 section 3.2), and no other. */
export type ThumbprintMembers = Pick<PublicJwk, 'kty' | 'n' | 'e' | 'crv' | 'x' | 'y'>;

/**
 * RFC 7638 thumbprint with SHA-256, base64url, 43 characters: the `kid` of every key pair of mpe.
 */
export function thumbprint(jwk: ThumbprintMembers): string {
  // Required members in lexicographic order, no white space.
  const canonical =
    jwk.kty === 'RSA'
      ? JSON.stringify({ e: jwk.e, kty: 'RSA', n: jwk.n })
      : JSON.stringify({ crv: jwk.crv, kty: 'EC', x: jwk.x, y: jwk.y });
  return createHash('sha256').update(canonical, 'utf8').digest('base64url');
}
