import { createCipheriv, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** Rounds of PBKDF2-HMAC-SHA-256: a third of a second, and OWASP's number of 2023 and later. */
export const BACKUP_ROUNDS = 600_000;

/**
 * Encrypts a private key under a password as PKCS #8 (RFC 5958) with PBES2: PBKDF2-HMAC-SHA-256, 600 000
 * rounds, a salt of its own, and AES-256-CBC. `node:crypto` writes this form with 2048 rounds only; it and
 * `openssl pkey` read this one.
 *
 * @param pkcs8 - DER
 * @returns PEM, `ENCRYPTED PRIVATE KEY`
 */
export async function encryptPrivateKey(pkcs8: Buffer, password: string): Promise<string> {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const key = await promisify(pbkdf2)(password, salt, BACKUP_ROUNDS, 32, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const encrypted = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  key.fill(0);
  const kdf = sequence(
    PBKDF2,
    sequence(octets(salt), integer(BACKUP_ROUNDS), sequence(HMAC_SHA256, Buffer.of(0x05, 0x00))),
  );
  const pbes2 = sequence(PBES2, sequence(kdf, sequence(AES_256_CBC, octets(iv))));
  const lines =
    sequence(pbes2, octets(encrypted))
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${lines.join('\n')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
/** 1.2.840.113549.1.5.13, .12, 1.2.840.113549.2.9, 2.16.840.1.101.3.4.1.42. */
const PBES2 = oid('2a864886f70d01050d');
const PBKDF2 = oid('2a864886f70d01050c');
const HMAC_SHA256 = oid('2a864886f70d0209');
const AES_256_CBC = oid('60864801650304012a');

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function octets(bytes: Buffer): Buffer {
  return der(0x04, bytes);
}

/** A positive one of up to 31 bits. */
function integer(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(value, 1);
  let start = 0;
  while (start < 4 && bytes[start] === 0 && (bytes[start + 1] ?? 0) < 0x80) start += 1;
  return der(0x02, bytes.subarray(start));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | bytes.length), bytes, content]);
}
