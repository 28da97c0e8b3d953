import { generateKeyPairSync } from 'node:crypto';
import jose from 'node-jose';
import type { PrivateJwk, PublicJwk } from '../protocol/jwk.js';
import { MpeError } from '../ops/errors.js';
import type { DeviceKey } from './device-keys.js';
import { CONTENT_ENCRYPTION, type TokenAlgorithm } from './token-rules.js';

/**
 * The only file that touches node-jose. Every call names the whole header and the whole allow-list:
 * left to itself the library adds names (`reference`), takes any algorithm (an empty list means
 * all), and for `dir` without an explicit `alg` wraps the key and publishes its thumbprint.
 */

/** A key as the library holds it. */
export type LibraryKey = jose.JWK.Key;

/** The header of a token that we make, in the order in which it is written. */
export interface TokenHeader {
  readonly alg: TokenAlgorithm;
  readonly enc?: typeof CONTENT_ENCRYPTION;
  readonly typ: string;
  readonly kid: string;
}

const imported = new WeakMap<object, Promise<LibraryKey>>();

/** Imports a checked key; the same object is imported once. */
export function importKey(jwk: PublicJwk | PrivateJwk | DeviceKey): Promise<LibraryKey> {
  let key = imported.get(jwk);
  if (key === undefined) {
    key = jose.JWK.asKey({ ...jwk });
    imported.set(jwk, key);
  }
  return key;
}

/** Imports a symmetric key. */
export function importSecret(key: Uint8Array): Promise<LibraryKey> {
  return jose.JWK.asKey({ kty: 'oct', k: Buffer.from(key).toString('base64url') });
}

/** Makes a compact JWE with exactly this header (and `epk` for ECDH). */
export async function encryptCompact(
  header: TokenHeader,
  key: LibraryKey,
  payload: Uint8Array,
): Promise<string> {
  // The library's own ephemeral keys take 30 ms of big-number arithmetic in JavaScript.
  const epk =
    header.alg === 'ECDH-ES+A256KW'
      ? { epk: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) }
      : {};
  // The types know a key only; the library takes a recipient with its options as well.
  const recipient = { key, reference: false, ...epk } as unknown as LibraryKey;
  return jose.JWE.createEncrypt({ format: 'compact', fields: header }, recipient)
    .update(Buffer.from(payload))
    .final();
}

/** Opens a guarded compact JWE. Rejects with the library's error. */
export async function decryptCompact(token: string, key: LibraryKey, alg: TokenAlgorithm): Promise<Buffer> {
  const { payload } = await jose.JWE.createDecrypt(key, {
    algorithms: allowList(alg, CONTENT_ENCRYPTION),
  }).decrypt(token);
  return Buffer.from(payload);
}

/** Makes a compact JWS with exactly this header. */
export async function signCompact(
  header: TokenHeader,
  key: LibraryKey,
  payload: Uint8Array,
): Promise<string> {
  const signatory = { key, reference: false } as unknown as LibraryKey;
  const signed: unknown = await jose.JWS.createSign({ format: 'compact', fields: header }, signatory)
    .update(Buffer.from(payload))
    .final();
  return signed as string;
}

/** Verifies a guarded compact JWS. Rejects with the library's error. */
export async function verifyCompact(
  token: string,
  key: LibraryKey,
  alg: TokenAlgorithm | 'RS256',
): Promise<Buffer> {
  const { payload } = await jose.JWS.createVerify(key, {
    algorithms: allowList(alg),
    allowEmbeddedKey: false,
  }).verify(token);
  return Buffer.from(payload);
}

function allowList(...algs: readonly string[]): string[] {
  const list = algs.filter((alg) => alg !== '' && !alg.includes('*'));
  if (list.length === 0) throw new MpeError('INTERNAL', 'an empty list of algorithms would allow all');
  return list;
}
