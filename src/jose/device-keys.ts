import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { decodeStrictBase64url } from './base64url.js';

/** A public key of the issuer of device tokens, for RS256 alone. */
export interface DeviceKey {
  readonly kty: 'RSA';
  readonly alg: 'RS256';
  /** The issuer's own id of it. */
  readonly kid: string;
  readonly n: string;
  readonly e: 'AQAB';
}

const MAX_KEYS = 32;

const keySet = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(MAX_KEYS) });

const rsaKey = z.object({
  kty: z.literal('RSA'),
  use: z.literal('sig').optional(),
  alg: z.literal('RS256').optional(),
  kid: z.string().regex(/^[\x21-\x7e]{1,200}$/),
  n: z.string().refine(hasGoodLength),
  e: z.literal('AQAB'),
});

/**
 * Reads a JSON Web Key Set. Keys that are not for RS256, too short, or without an id are left out,
 * and so are all that share an id: no token shall be tried with several keys.
 *
 * @throws MpeError MALFORMED where it is no key set.
 */
export function readDeviceKeys(text: string): DeviceKey[] {
  const found = new Map<string, DeviceKey | null>();
  for (const raw of readSet(text)) {
    const parsed = rsaKey.safeParse(raw);
    if (!parsed.success) continue;
    const { kid, n } = parsed.data;
    found.set(kid, found.has(kid) ? null : { kty: 'RSA', alg: 'RS256', kid, n, e: 'AQAB' });
  }
  return [...found.values()].filter((key) => key !== null);
}

function readSet(text: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    return keySet.parse(JSON.parse(text)).keys;
  } catch (cause) {
    throw new MpeError('MALFORMED', `not a JSON Web Key Set of at most ${String(MAX_KEYS)} keys`, { cause });
  }
}

/** 2048 to 4096 bits. */
function hasGoodLength(n: string): boolean {
  const modulus = decodeStrictBase64url(n);
  return modulus !== undefined && modulus.length >= 256 && modulus.length <= 512 && modulus[0] !== 0;
}
