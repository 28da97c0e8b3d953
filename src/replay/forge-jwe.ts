import {
  constants,
  createCipheriv,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import type { PublicJwk } from '../protocol/jwk.js';
import type { Forge } from './fixture-schema.js';

/** A way of getting an encrypted token wrong. */
export type JweForge = Exclude<NonNullable<Forge['jwe']>, 'none'>;

/** What a small token unpacks to; 80 MB of zeros fit the envelope's limit when packed. */
const BOMB_BYTES = 80 * 1024 * 1024;

const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function flip(part: string, at = 0): string {
  const bytes = Buffer.from(part, 'base64url');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString('base64url');
}

/** The parts of a compact JWE with any protected header, A256GCM. */
function gcm(header: string, cek: Buffer, encryptedKey: Buffer, payload: Buffer): string[] {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', cek, iv);
  cipher.setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  return [header, ...[encryptedKey, iv, ciphertext, cipher.getAuthTag()].map((b) => b.toString('base64url'))];
}

/** The same with A256CBC-HS512 (RFC 7518 section 5.2.5). */
function cbc(header: string, cek: Buffer, encryptedKey: Buffer, payload: Buffer): string[] {
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', cek.subarray(32), iv);
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(header.length * 8));
  const tag = createHmac('sha512', cek.subarray(0, 32))
    .update(Buffer.concat([Buffer.from(header), iv, ciphertext, length]))
    .digest()
    .subarray(0, 32);
  return [header, ...[encryptedKey, iv, ciphertext, tag].map((b) => b.toString('base64url'))];
}

/**
 * A compact JWE to the site's RSA key with exactly one fault. Made with node:crypto, because src/jose
 * refuses to make such tokens.
 *
 * @param rsa the site's RSA sealing key; @param ecdhKid the id of its other sealing key.
 */
export function forgeJwe(inner: string, rsa: PublicJwk, ecdhKid: string, forge: JweForge): string {
  const key = createPublicKey({ key: { kty: 'RSA', n: rsa.n ?? '', e: rsa.e ?? '' }, format: 'jwk' });
  const wrap = (cek: Buffer, padding = constants.RSA_PKCS1_OAEP_PADDING, oaepHash = 'sha256'): Buffer =>
    padding === constants.RSA_PKCS1_PADDING
      ? publicEncrypt({ key, padding }, cek)
      : publicEncrypt({ key, padding, oaepHash }, cek);
  const good = { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: rsa.kid, typ: 'mpe-env' };
  const cek = randomBytes(32);
  const payload = Buffer.from(inner);
  const parts = (header: object | string = good, body = payload, encrypted = wrap(cek)): string[] =>
    gcm(
      typeof header === 'string' ? Buffer.from(header).toString('base64url') : text(header),
      cek,
      encrypted,
      body,
    );
  const changed = (index: number, change: (part: string) => string): string =>
    parts()
      .map((part, i) => (i === index ? change(part) : part))
      .join('.');
  switch (forge) {
    case 'zip':
      return parts({ ...good, zip: 'DEF' }, deflateRawSync(payload)).join('.');
    case 'zip-bomb':
      return parts({ ...good, zip: 'DEF' }, deflateRawSync(Buffer.alloc(BOMB_BYTES), { level: 9 })).join('.');
    case 'alg-rsa1-5':
      return parts({ ...good, alg: 'RSA1_5' }, payload, wrap(cek, constants.RSA_PKCS1_PADDING)).join('.');
    case 'alg-rsa-oaep':
      return parts(
        { ...good, alg: 'RSA-OAEP' },
        payload,
        wrap(cek, constants.RSA_PKCS1_OAEP_PADDING, 'sha1'),
      ).join('.');
    case 'alg-pbes2':
      return parts(
        { ...good, alg: 'PBES2-HS256+A128KW', p2s: 'c2FsdHNhbHQ', p2c: 2_000_000_000 },
        payload,
        randomBytes(40),
      ).join('.');
    case 'alg-dir':
      return parts({ ...good, alg: 'dir' }, payload, Buffer.alloc(0)).join('.');
    case 'enc-cbc': {
      const long = randomBytes(64);
      return cbc(text({ ...good, enc: 'A256CBC-HS512' }), long, wrap(long), payload).join('.');
    }
    case 'typ-missing':
      return parts({ alg: good.alg, enc: good.enc, kid: good.kid }).join('.');
    case 'typ-wrong':
      return parts({ ...good, typ: 'mpe-dk' }).join('.');
    case 'kid-missing':
      return parts({ alg: good.alg, enc: good.enc, typ: good.typ }).join('.');
    case 'crit':
      return parts({ ...good, crit: ['exp'], exp: 1 }).join('.');
    case 'jwk-header':
      return parts({ ...good, jwk: { kty: 'RSA', n: rsa.n, e: rsa.e } }).join('.');
    case 'alg-of-other-key':
      return parts({ ...good, kid: ecdhKid }).join('.');
    case 'header-null':
      return parts('null').join('.');
    case 'header-duplicate-alg':
      return parts(
        `{"alg":"dir","alg":"RSA-OAEP-256","enc":"A256GCM","kid":${JSON.stringify(rsa.kid)},"typ":"mpe-env"}`,
      ).join('.');
    // What a thief of the envelope's address could do: the site's kid over a key of his own.
    case 'key-swapped': {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
      const wrapped = publicEncrypt(
        { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
        cek,
      );
      return parts(good, payload, wrapped).join('.');
    }
    case 'epk-off-curve':
    case 'epk-missing': {
      // (1, 1) satisfies no equation of P-256.
      const one = Buffer.from([...Array<number>(31).fill(0), 1]).toString('base64url');
      const ecdh = { ...good, alg: 'ECDH-ES+A256KW', kid: ecdhKid };
      const header =
        forge === 'epk-missing' ? ecdh : { ...ecdh, epk: { kty: 'EC', crv: 'P-256', x: one, y: one } };
      return parts(header, payload, randomBytes(40)).join('.');
    }
    case 'six-parts':
      return [...parts(), 'AAAA'].join('.');
    case 'four-parts':
      return parts().slice(0, 4).join('.');
    case 'padding':
      return changed(4, (tag) => `${tag}==`);
    case 'trailing-junk':
      return changed(3, (ciphertext) => `${ciphertext}!*`);
    case 'tag-short':
      return changed(4, (tag) => Buffer.from(tag, 'base64url').subarray(0, 12).toString('base64url'));
    case 'key-flipped':
      return changed(1, (encrypted) => flip(encrypted, 5));
    case 'iv-flipped':
      return changed(2, flip);
    case 'ciphertext-flipped':
      return changed(3, flip);
    case 'tag-flipped':
      return changed(4, flip);
    case 'json': {
      const [header, encrypted, iv, ciphertext, tag] = parts();
      return JSON.stringify({ protected: header, encrypted_key: encrypted, iv, ciphertext, tag });
    }
  }
}
