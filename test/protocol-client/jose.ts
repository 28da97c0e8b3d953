import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';

/** The JOSE of docs/protocol.md with node:crypto alone. */

const b64 = (data: Buffer | string): string => Buffer.from(data).toString('base64url');

/** RFC 7638: SHA-256 over the required members in alphabetical order. */
export function thumbprint(jwk: JsonWebKey): string {
  const text =
    jwk.kty === 'RSA'
      ? `{"e":"${jwk.e ?? ''}","kty":"RSA","n":"${jwk.n ?? ''}"}`
      : `{"crv":"${jwk.crv ?? ''}","kty":"EC","x":"${jwk.x ?? ''}","y":"${jwk.y ?? ''}"}`;
  return createHash('sha256').update(text).digest('base64url');
}

/** A compact JWS, ES256, signature as R || S. */
export function signJws(payload: Buffer, key: KeyObject, kid: string, typ: string): string {
  const input = `${b64(JSON.stringify({ alg: 'ES256', kid, typ }))}.${b64(payload)}`;
  const signature = sign('sha256', Buffer.from(input, 'ascii'), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${b64(signature)}`;
}

/** Verifies a compact JWS by a public key and returns its payload. */
export function verifyJws(token: string, jwk: JsonWebKey, typ: string): Buffer {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const {
    alg,
    kid,
    typ: said,
  } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const good = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`, 'ascii'),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  if (!good || alg !== 'ES256' || said !== typ || kid !== thumbprint(jwk))
    throw new Error('not signed by it');
  return Buffer.from(payload, 'base64url');
}

/** A compact JWE, RSA-OAEP-256 and A256GCM, typ mpe-env. */
export function sealRsa(plaintext: string, jwk: JsonWebKey & { kid: string }): string {
  const header = b64(JSON.stringify({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: jwk.kid, typ: 'mpe-env' }));
  const contentKey = randomBytes(32);
  const iv = randomBytes(12);
  const wrapped = publicEncrypt(
    {
      key: createPublicKey({ key: jwk, format: 'jwk' }),
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: 'sha256',
    },
    contentKey,
  );
  const cipher = createCipheriv('aes-256-gcm', contentKey, iv).setAAD(Buffer.from(header, 'ascii'));
  const sealed = Buffer.concat([cipher.update(plaintext, 'ascii'), cipher.final()]);
  return [header, b64(wrapped), b64(iv), b64(sealed), b64(cipher.getAuthTag())].join('.');
}

/** Opens a sealed reply; the header must be exactly the one of the page. */
export function openReply(token: string, replyKey: Buffer, messageId: string): Buffer {
  const parts = token.split('.');
  const [header = '', wrapped, iv = '', sealed = '', tag = ''] = parts;
  if (parts.length !== 5 || wrapped !== '') throw new Error('not a direct JWE');
  const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
  const wanted: Record<string, unknown> = { alg: 'dir', enc: 'A256GCM', kid: messageId, typ: 'mpe-reply' };
  for (const name of new Set([...Object.keys(members), ...Object.keys(wanted)])) {
    if (members[name] !== wanted[name]) throw new Error(`the header's ${name} is wrong`);
  }
  const decipher = createDecipheriv('aes-256-gcm', replyKey, Buffer.from(iv, 'base64url'))
    .setAAD(Buffer.from(header, 'ascii'))
    .setAuthTag(Buffer.from(tag, 'base64url'));
  return Buffer.concat([decipher.update(Buffer.from(sealed, 'base64url')), decipher.final()]);
}
