import { cannotOpen } from './cannot-open.js';
import { decodeStrictBase64url } from './base64url.js';
import { isOnP256 } from './p256.js';
import { parseStrictObject, type StrictObject } from './strict-json.js';
import {
  ALGORITHM_RULES,
  CONTENT_ENCRYPTION,
  MAX_HEADER_BYTES,
  TOKEN_RULES,
  type TokenAlgorithm,
  type TokenType,
} from './token-rules.js';

/** The header of a token that passed. */
export interface GuardedHeader {
  readonly alg: TokenAlgorithm;
  readonly typ: TokenType;
  readonly kid: string;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
const ES256_BYTES = 64;

/**
 * Looks at a token before any JOSE library or key does. node-jose takes six parts, trailing junk,
 * compressed content, any algorithm and a missing `kid`; past this guard it sees none of them.
 *
 * A token passes when it is a compact serialisation with the exact number of parts, every part
 * strict base64url of the right length, and a header that is exactly what the table of
 * `token-rules.ts` says for this `typ`: names, `alg`, `enc`, `typ`, the form of `kid`, and for ECDH
 * an ephemeral key on P-256. No cryptography is done here.
 *
 * @param token - what came from outside
 * @param typ - what the caller expects at this place
 * @throws MpeError CANNOT_OPEN saying which rule is broken.
 */
export function guard(token: string, typ: TokenType): GuardedHeader {
  const rule = TOKEN_RULES[typ];
  const refuse = (problem: string) => cannotOpen(typ, problem);
  // Callers outside TypeScript, such as a job made by another release, could hand on anything.
  if (typeof (token as unknown) !== 'string') throw refuse('not a string');
  if (token.length > rule.maxChars) throw refuse(`longer than ${String(rule.maxChars)} characters`);
  const count = rule.form === 'JWE' ? 5 : 3;
  // One part more than allowed is split off at most, however many dots there are.
  const texts = token.split('.', count + 1);
  if (texts.length !== count) {
    throw refuse(`${texts.length > count ? 'more' : 'fewer'} than ${String(count)} parts`);
  }
  const parts = texts.map((text, index) => {
    const bytes = decodeStrictBase64url(text);
    if (bytes === undefined) throw refuse(`part ${String(index + 1)} is not strict base64url`);
    return bytes;
  });
  const [headerBytes, ...rest] = parts;
  if (headerBytes === undefined || headerBytes.length === 0) throw refuse('the header is empty');
  if (headerBytes.length > MAX_HEADER_BYTES) {
    throw refuse(`the header has more than ${String(MAX_HEADER_BYTES)} bytes`);
  }
  const header = checkHeader(parseHeader(headerBytes, typ), typ);
  const problem = checkParts(rest, header.alg);
  if (problem !== undefined) throw refuse(problem);
  return header;
}

function parseHeader(bytes: Buffer, typ: TokenType): StrictObject {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw cannotOpen(typ, 'the header is not UTF-8');
  }
  try {
    return parseStrictObject(text);
  } catch (error) {
    throw cannotOpen(typ, `the header: ${error instanceof Error ? error.message : 'not readable'}`);
  }
}

function checkHeader(header: StrictObject, typ: TokenType): GuardedHeader {
  const rule = TOKEN_RULES[typ];
  const { alg, kid } = header;
  if (header['typ'] !== typ) throw cannotOpen(typ, `typ is ${shown(header['typ'])}`);
  const algorithm = rule.algs.find((allowed) => allowed === alg);
  if (algorithm === undefined) throw cannotOpen(typ, `alg ${shown(alg)} is not allowed here`);
  const names = ALGORITHM_RULES[algorithm].names;
  for (const name of Object.keys(header)) {
    if (!names.includes(name)) throw cannotOpen(typ, `header name ${shown(name)} is not allowed`);
  }
  for (const name of names) {
    if (!(name in header)) throw cannotOpen(typ, `header name "${name}" is missing`);
  }
  if (rule.form === 'JWE' && header['enc'] !== CONTENT_ENCRYPTION) {
    throw cannotOpen(typ, `enc ${shown(header['enc'])} is not allowed`);
  }
  if (typeof kid !== 'string' || !rule.kid.test(kid)) throw cannotOpen(typ, 'kid does not have its form');
  if (algorithm === 'ECDH-ES+A256KW') checkEphemeralKey(header['epk'], typ);
  return { alg: algorithm, typ, kid };
}

function checkEphemeralKey(epk: unknown, typ: TokenType): void {
  if (epk === null || typeof epk !== 'object' || Array.isArray(epk)) {
    throw cannotOpen(typ, 'epk is not an object');
  }
  const key = epk as Readonly<Record<string, unknown>>;
  if (Object.keys(key).sort().join() !== 'crv,kty,x,y') {
    throw cannotOpen(typ, 'epk does not have exactly kty, crv, x and y');
  }
  if (key['kty'] !== 'EC' || key['crv'] !== 'P-256') throw cannotOpen(typ, 'epk is not on P-256');
  const [x, y] = [key['x'], key['y']].map((text) =>
    typeof text === 'string' ? decodeStrictBase64url(text) : undefined,
  );
  if (x === undefined || y === undefined || !isOnP256(x, y)) {
    throw cannotOpen(typ, 'epk is not a point of P-256');
  }
}

/** Lengths of what follows the header; the answer is the problem. */
function checkParts(parts: readonly Buffer[], alg: TokenAlgorithm): string | undefined {
  const keyBytes = ALGORITHM_RULES[alg].encryptedKeyBytes;
  if (keyBytes === undefined) {
    const [payload, signature] = parts;
    if (payload?.length === 0) return 'the payload is empty';
    if (signature?.length !== ES256_BYTES) return 'an ES256 signature has 64 bytes, r and s';
    return undefined;
  }
  const [encryptedKey, iv, ciphertext, tag] = parts;
  const length = encryptedKey?.length ?? -1;
  if (length < keyBytes[0] || length > keyBytes[1]) return `the encrypted key has ${String(length)} bytes`;
  if (iv?.length !== IV_BYTES) return 'the initialisation vector does not have 12 bytes';
  if (ciphertext?.length === 0) return 'the ciphertext is empty';
  if (tag?.length !== TAG_BYTES) return 'the authentication tag does not have 16 bytes';
  return undefined;
}

/** A value from outside, short and in quotes, fit for a log line. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
