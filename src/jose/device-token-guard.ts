import { decodeStrictBase64url } from './base64url.js';
import { cannotOpen } from './cannot-open.js';
import { parseStrictObject, type StrictObject } from './strict-json.js';

/** How errors name such a token. */
export const DEVICE_TOKEN = 'device token';

const MAX_CHARS = 8 * 1024;
const MAX_HEADER_BYTES = 1024;
const TYPES: readonly unknown[] = ['JWT', 'at+jwt'];
/** All that a header may hold. `x5t` repeats the key's certificate and is not used. */
const NAMES: readonly string[] = ['alg', 'typ', 'kid', 'x5t'];
/** Issuers choose their own ids; short and printable, so that one can be looked up and logged. */
const KID = /^[\x21-\x7e]{1,200}$/;

/** A device token that passed. */
export interface GuardedDeviceToken {
  readonly kid: string;
  readonly claims: StrictObject;
  readonly signatureBytes: number;
}

/**
 * Looks at a device token before the JOSE library does, as `guard` does with our own tokens: three
 * parts of strict base64url, a header of known names with `alg` RS256 alone and a `kid`, claims
 * that are one JSON object without double names. No `crit`, no embedded key or address of one, no
 * `zip`. No cryptography is done here, and the claims are not believed yet.
 *
 * @throws MpeError CANNOT_OPEN saying which rule is broken.
 */
export function guardDeviceToken(token: string): GuardedDeviceToken {
  const refuse = (problem: string) => cannotOpen(DEVICE_TOKEN, problem);
  if (token.length > MAX_CHARS) throw refuse(`longer than ${String(MAX_CHARS)} characters`);
  const parts = token.split('.', 4).map(decodeStrictBase64url);
  const [header, payload, signature] = parts;
  if (parts.length !== 3) throw refuse('not three parts');
  if (header === undefined || payload === undefined || signature === undefined) {
    throw refuse('a part is not strict base64url');
  }
  if (header.length > MAX_HEADER_BYTES)
    throw refuse(`the header has more than ${String(MAX_HEADER_BYTES)} bytes`);
  const fields = readObject(header, 'header');
  if (fields['alg'] !== 'RS256') throw refuse('alg is not RS256');
  if (!TYPES.includes(fields['typ'])) throw refuse('typ is neither JWT nor at+jwt');
  if (Object.keys(fields).some((name) => !NAMES.includes(name))) throw refuse('a header name is not allowed');
  const { kid } = fields;
  if (typeof kid !== 'string' || !KID.test(kid)) throw refuse('kid does not have its form');
  if (signature.length < 256 || signature.length > 512)
    throw refuse('the signature is not of 2048 to 4096 bits');
  return { kid, claims: readObject(payload, 'claims'), signatureBytes: signature.length };
}

function readObject(bytes: Buffer, what: string): StrictObject {
  try {
    return parseStrictObject(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw cannotOpen(DEVICE_TOKEN, `the ${what}: ${error instanceof Error ? error.message : 'not readable'}`);
  }
}
