/**
 * RSA-OAEP-256 with A256GCM by the runtime's own cryptography, for wraps (`mpe-dk`) alone. A change of
 * certificate opens and makes thousands of them: node-jose imports the key anew for each token and does
 * half of the work in the one JavaScript thread, here the private operation alone is left and runs in the
 * threads of the runtime. The tokens are the same, byte for byte of their form; the guard looks at each
 * before and after as everywhere.
 */
import { createCipheriv, createDecipheriv, randomBytes, webcrypto } from 'node:crypto';
import type { PrivateJwk, PublicJwk } from '../protocol/jwk.js';
import type { TokenHeader } from './node-jose.js';

const OAEP = { name: 'RSA-OAEP', hash: 'SHA-256' } as const;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG = { authTagLength: 16 } as const;

const imported = new WeakMap<object, Promise<webcrypto.CryptoKey>>();

/** Imports a checked key; the same object is imported once, and nothing exports it again. */
function importNative(
  jwk: PublicJwk | PrivateJwk,
  members: readonly (keyof PrivateJwk)[],
  use: 'encrypt' | 'decrypt',
): Promise<webcrypto.CryptoKey> {
  let key = imported.get(jwk);
  if (key === undefined) {
    const bare = Object.fromEntries(members.map((name) => [name, (jwk as PrivateJwk)[name]]));
    key = webcrypto.subtle.importKey('jwk', bare as webcrypto.JsonWebKey, OAEP, false, [use]);
    imported.set(jwk, key);
  }
  return key;
}

/** Makes a compact JWE with exactly this header. */
export async function encryptNative(
  header: TokenHeader,
  recipient: PublicJwk,
  payload: Uint8Array,
): Promise<string> {
  const key = await importNative(recipient, ['kty', 'n', 'e'], 'encrypt');
  const contentKey = randomBytes(KEY_BYTES);
  try {
    const encryptedKey = await webcrypto.subtle.encrypt({ name: OAEP.name }, key, contentKey);
    const iv = randomBytes(IV_BYTES);
    const head = Buffer.from(JSON.stringify(header), 'utf8').toString('base64url');
    const cipher = createCipheriv(CIPHER, contentKey, iv, TAG).setAAD(Buffer.from(head, 'ascii'));
    const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
    const rest = [Buffer.from(encryptedKey), iv, ciphertext, cipher.getAuthTag()];
    return [head, ...rest.map((part) => part.toString('base64url'))].join('.');
  } finally {
    contentKey.fill(0);
  }
}

/** Opens a guarded compact JWE. Rejects with the runtime's error. */
export async function decryptNative(token: string, jwk: PrivateJwk): Promise<Buffer> {
  const key = await importNative(jwk, ['kty', 'n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'], 'decrypt');
  const [head = '', ...texts] = token.split('.');
  const [encryptedKey, iv, ciphertext, tag] = texts.map((text) => Buffer.from(text, 'base64url')) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const contentKey = Buffer.from(await webcrypto.subtle.decrypt({ name: OAEP.name }, key, encryptedKey));
  try {
    // createDecipheriv refuses a content key of any other length than 32 bytes.
    const cipher = createDecipheriv(CIPHER, contentKey, iv, TAG).setAAD(Buffer.from(head, 'ascii'));
    cipher.setAuthTag(tag);
    return Buffer.concat([cipher.update(ciphertext), cipher.final()]);
  } finally {
    contentKey.fill(0);
  }
}
