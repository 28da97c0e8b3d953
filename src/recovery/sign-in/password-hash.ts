import { createCipheriv, createDecipheriv, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { MpeError } from '../../ops/errors.js';

/** How much work a hash is; stored with it, so that it can grow. */
export interface ScryptCost {
  /** A power of two: memory is 128 · n · r bytes. */
  readonly n: number;
  readonly r: number;
  readonly p: number;
}

/** 64 MiB and about a fifth of a second. */
export const COST: ScryptCost = { n: 2 ** 16, r: 8, p: 1 };

const SALT_BYTES = 16;
const KEY_BYTES = 32;
const FORM = /^scrypt\$(\d{1,8}),(\d{1,3}),(\d{1,3})\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;
const MIN_CHARS = 12;
const MAX_CHARS = 256;

/** Hashes under way at once: each takes its memory, and strangers can ask for them. */
const AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

/** Refuses a password that is too short to be one, before it is set. @throws MpeError USAGE */
export function checkNewPassword(password: string): void {
  if (password.length < MIN_CHARS || password.length > MAX_CHARS) {
    throw new MpeError('USAGE', `a password has ${MIN_CHARS} to ${MAX_CHARS} characters`);
  }
}

/** Hashes a password with a salt of its own, by a function that needs much memory. */
export async function hashPassword(password: string, cost: ScryptCost = COST): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, cost);
  return `scrypt$${cost.n},${cost.r},${cost.p}$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/**
 * Whether a password is the hashed one, in the same time whatever the answer. `null` is compared with
 * nobody's hash, so that an unknown name takes as long as a known one.
 */
export async function isPassword(password: string, hash: string | null): Promise<boolean> {
  const match = FORM.exec(hash ?? '');
  const cost = match === null ? COST : { n: Number(match[1]), r: Number(match[2]), p: Number(match[3]) };
  const salt = match === null ? Buffer.alloc(SALT_BYTES) : Buffer.from(match[4] ?? '', 'base64url');
  const expected = match === null ? Buffer.alloc(KEY_BYTES) : Buffer.from(match[5] ?? '', 'base64url');
  const key = await derive(password.slice(0, MAX_CHARS), salt, cost);
  return timingSafeEqual(key, expected) && match !== null;
}

/** Seals a text under a key of a password: salt, nonce, tag and ciphertext. */
export async function sealUnder(password: string, text: string, cost: ScryptCost = COST): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await derive(password, salt, cost), nonce);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const parts = [salt, nonce, cipher.getAuthTag(), sealed].map((part) => part.toString('base64url'));
  return [`${cost.n},${cost.r},${cost.p}`, ...parts].join('.');
}

/** Opens what {@link sealUnder} sealed; null where the password is another one. */
export async function openUnder(password: string, sealed: string): Promise<string | null> {
  const [cost = '', ...parts] = sealed.split('.');
  const [n = 0, r = 0, p = 0] = cost.split(',').map(Number);
  const [salt, nonce, tag, text] = parts.map((part) => Buffer.from(part, 'base64url'));
  if (salt === undefined || nonce === undefined || tag === undefined || text === undefined) return null;
  try {
    const decipher = createDecipheriv('aes-256-gcm', await derive(password, salt, { n, r, p }), nonce);
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

async function derive(password: string, salt: Buffer, { n, r, p }: ScryptCost): Promise<Buffer> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const options = { N: n, r, p, maxmem: 256 * n * r + 1024 * 1024 };
      scrypt(password.normalize('NFC'), salt, KEY_BYTES, options, (error, key) => {
        if (error === null) resolve(key);
        else reject(error);
      });
    });
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}
