import {
  constants,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  privateDecrypt,
} from 'node:crypto';
import type { PrivateJwk, PublicJwk } from '../../src/protocol/jwk.js';

/** What lies inside a token, step by step: everything that an implementation can compare. */

const part = (token: string, index: number): Buffer =>
  Buffer.from(token.split('.')[index] ?? '', 'base64url');

/** Steps of a compact JWS. */
export function jwsSteps(token: string): Record<string, unknown> {
  const [header = '', payload = ''] = token.split('.');
  return {
    header: part(token, 0).toString('utf8'),
    signingInput: `${header}.${payload}`,
    payload: part(token, 1).toString('hex'),
    payloadSha256: createHash('sha256').update(part(token, 1)).digest('hex'),
    signatureR: part(token, 2).subarray(0, 32).toString('hex'),
    signatureS: part(token, 2).subarray(32).toString('hex'),
    token,
  };
}

/** Steps of a compact JWE that `key` opens. */
export function jweSteps(token: string, key: PrivateJwk): Record<string, unknown> {
  const contentKey = key.alg === 'RSA-OAEP-256' ? rsaContentKey(token, key) : ecdhContentKey(token, key);
  const decipher = createDecipheriv('aes-256-gcm', contentKey.contentKey, part(token, 2))
    .setAAD(Buffer.from(token.split('.')[0] ?? '', 'ascii'))
    .setAuthTag(part(token, 4));
  const plaintext = Buffer.concat([decipher.update(part(token, 3)), decipher.final()]);
  const { contentKey: opened, ...steps } = contentKey;
  return {
    header: part(token, 0).toString('utf8'),
    additionalData: token.split('.')[0],
    ...steps,
    contentKey: opened.toString('hex'),
    iv: part(token, 2).toString('hex'),
    ciphertext: part(token, 3).toString('hex'),
    tag: part(token, 4).toString('hex'),
    plaintext: plaintext.toString('ascii'),
    token,
  };
}

function rsaContentKey(token: string, key: PrivateJwk): { contentKey: Buffer } {
  return {
    contentKey: privateDecrypt(
      {
        key: createPrivateKey({ key: key as never, format: 'jwk' }),
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: 'sha256',
      },
      part(token, 1),
    ),
  };
}

/** ECDH, Concat KDF (RFC 7518 section 4.6.2), AES key unwrap (RFC 3394). */
function ecdhContentKey(token: string, key: PrivateJwk): { contentKey: Buffer } {
  const header = JSON.parse(part(token, 0).toString('utf8')) as { epk: PublicJwk };
  const sharedSecret = diffieHellman({
    privateKey: createPrivateKey({ key: key as never, format: 'jwk' }),
    publicKey: createPublicKey({ key: header.epk as never, format: 'jwk' }),
  });
  const algorithm = Buffer.from('ECDH-ES+A256KW', 'ascii');
  const info = Buffer.concat([uint32(algorithm.length), algorithm, uint32(0), uint32(0), uint32(256)]);
  const wrappingKey = createHash('sha256')
    .update(Buffer.concat([uint32(1), sharedSecret, info]))
    .digest();
  const unwrap = createDecipheriv('id-aes256-wrap', wrappingKey, Buffer.alloc(8, 0xa6));
  const steps = {
    sharedSecret: sharedSecret.toString('hex'),
    kdfInfo: info.toString('hex'),
    wrappingKey: wrappingKey.toString('hex'),
    encryptedKey: part(token, 1).toString('hex'),
    contentKey: Buffer.concat([unwrap.update(part(token, 1)), unwrap.final()]),
  };
  return steps;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
