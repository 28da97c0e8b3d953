import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from './guid.js';
import type { PublicJwk } from './jwk.js';
import { malformed } from './wire.js';

/** What the old root key signs when it hands the site over to a new one. */
export interface RootChange {
  readonly siteGuid: Guid;
  /** ES256, the key that signs this statement. */
  readonly from: PublicJwk;
  /** ES256, the key that signs the site's documents from now on. */
  readonly to: PublicJwk;
  readonly changedAtMs: number;
}

const thumbprint = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const es256 = z.object({
  kty: z.literal('EC'),
  kid: thumbprint,
  alg: z.literal('ES256'),
  crv: z.literal('P-256'),
  x: thumbprint,
  y: thumbprint,
});
const schema = z.object({
  siteGuid: z.string().transform((text) => parseGuid(text)),
  from: es256,
  to: es256,
  changedAtMs: z.int(),
});

/** Writes a root change as JSON; private members of a key cannot get in. */
export function encodeRootChange(change: RootChange): Buffer {
  const checked = schema.safeParse(change);
  if (!checked.success) throw new MpeError('INTERNAL', `root change: ${z.prettifyError(checked.error)}`);
  return Buffer.from(JSON.stringify(checked.data), 'utf8');
}

/**
 * Reads a root change; names that this release does not know are ignored.
 *
 * @throws MpeError MALFORMED
 */
export function decodeRootChange(bytes: Uint8Array): RootChange {
  try {
    return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    throw malformed('root change', error instanceof Error ? error.message : 'not valid', error);
  }
}
