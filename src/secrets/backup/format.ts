/**
 * The one file of `mpe backup` (docs/adr/0010-backup-file.md). Numbers are big endian:
 *
 *     8    MPEBKUP1
 *     4    length of the header
 *     n    header, JSON in UTF-8: {@link BackupHeader}; readable without the password, holds no secret
 *     m    AES-256-GCM under scrypt(password): length (4) ‖ manifest, JSON ‖ the files, one after the other
 *     16   its tag, over all of the above
 *     32   SHA-256 over all of the above: tells damage from a wrong password
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, scrypt } from 'node:crypto';
import { z } from 'zod';
import { MpeError } from '../../ops/errors.js';
import { VERSION } from '../../ops/version.js';
import { parseGuid, type Guid } from '../../protocol/guid.js';
import { isKeyPath } from '../inventory.js';

const MAGIC = Buffer.from('MPEBKUP1', 'ascii');
const TAG_BYTES = 16;
const SUM_BYTES = 32;
const LENGTH_BYTES = 4;
const MAX_HEADER = 64 * 1024;
/** A key folder has a few dozen small files. */
export const MAX_BACKUP_BYTES = 16 * 1024 * 1024;
/** Fewest characters of a password: the file may be copied and tried against for ever. */
export const MIN_PASSWORD = 12;

/** Fixed by the format: a file cannot ask for less, or for all memory. 128 MiB and half a second. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const;

/** A file of a backup. */
export interface BackupFile {
  /** Path inside the key folder. */
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

const headerSchema = z.object({
  format: z.literal(1),
  siteGuid: z.string().transform((text) => parseGuid(text)),
  createdAt: z.iso.datetime(),
  madeBy: z.string(),
  kdf: z.object({
    name: z.literal('scrypt'),
    N: z.literal(SCRYPT.N),
    r: z.literal(SCRYPT.r),
    p: z.literal(SCRYPT.p),
    salt: z.base64url().length(43),
  }),
  cipher: z.object({ name: z.literal('AES-256-GCM'), nonce: z.base64url().length(16) }),
  entries: z.array(z.object({ path: z.string().refine(isKeyPath), bytes: z.number().int().min(0) })).min(1),
});
const manifestSchema = z.array(
  z.object({
    path: z.string().refine(isKeyPath),
    mode: z.number().int().min(0).max(0o777),
    bytes: z.number().int().min(0),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
);

/** What a backup says of itself before it is opened. */
export interface BackupHeader {
  readonly siteGuid: Guid;
  readonly createdAt: string;
  readonly madeBy: string;
  readonly entries: readonly { readonly path: string; readonly bytes: number }[];
  /** SHA-256 of the file, hex: which backup this is. */
  readonly id: string;
}

/** An opened backup. */
export interface OpenedBackup {
  readonly header: BackupHeader;
  readonly files: readonly BackupFile[];
}

/** SHA-256, hex. */
export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Puts files into a backup that opens with the password alone. */
export async function sealBackup(
  siteGuid: Guid,
  files: readonly BackupFile[],
  password: string,
  nowMs: number,
): Promise<Buffer> {
  const salt = randomBytes(32);
  const nonce = randomBytes(12);
  const header = Buffer.from(
    JSON.stringify({
      format: 1,
      siteGuid,
      createdAt: new Date(nowMs).toISOString(),
      madeBy: `mpe ${VERSION}`,
      kdf: { name: 'scrypt', ...SCRYPT, salt: salt.toString('base64url') },
      cipher: { name: 'AES-256-GCM', nonce: nonce.toString('base64url') },
      entries: files.map(({ path, content }) => ({ path, bytes: content.length })),
    }),
  );
  const head = Buffer.concat([MAGIC, lengthOf(header), header]);
  const manifest = Buffer.from(
    JSON.stringify(
      files.map(({ path, mode, content }) => ({
        ...{ path, mode, bytes: content.length },
        sha256: sha256(content),
      })),
    ),
  );
  const plain = Buffer.concat([lengthOf(manifest), manifest, ...files.map(({ content }) => content)]);
  const key = await keyOf(password, salt);
  try {
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(head);
    const sealed = Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return Buffer.concat([sealed, createHash('sha256').update(sealed).digest()]);
  } finally {
    plain.fill(0);
    key.fill(0);
  }
}

/**
 * What a backup says of itself, after its checksum was compared.
 *
 * @throws MpeError BACKUP_INVALID where it is none, is damaged, or was made by a newer release
 */
export function readBackupHeader(bytes: Buffer): BackupHeader {
  return split(bytes).header;
}

/**
 * Opens a backup and compares every file with its digest.
 *
 * @throws MpeError BACKUP_INVALID as {@link readBackupHeader}; BACKUP_PASSWORD where the password is another
 */
export async function openBackup(bytes: Buffer, password: string): Promise<OpenedBackup> {
  const { header, head, salt, nonce, sealed, tag } = split(bytes);
  const key = await keyOf(password, salt);
  let plain: Buffer;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(head);
    decipher.setAuthTag(tag);
    plain = Buffer.concat([decipher.update(sealed), decipher.final()]);
  } catch {
    throw new MpeError('BACKUP_PASSWORD', 'the password does not open this backup');
  } finally {
    key.fill(0);
  }
  return { header, files: filesOf(plain, header) };
}

function split(bytes: Buffer): {
  readonly header: BackupHeader;
  readonly head: Buffer;
  readonly salt: Buffer;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
  readonly tag: Buffer;
} {
  const least = MAGIC.length + LENGTH_BYTES + TAG_BYTES + SUM_BYTES;
  if (!bytes.subarray(0, MAGIC.length - 1).equals(MAGIC.subarray(0, -1)))
    throw invalid('it is no backup that "mpe backup" made');
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw invalid('another release made it, in a format that this one does not read');
  const sum = bytes.subarray(-SUM_BYTES);
  const body = bytes.subarray(0, -SUM_BYTES);
  if (bytes.length < least || !createHash('sha256').update(body).digest().equals(sum))
    throw invalid('it is damaged or cut short: its checksum is another. Use another copy');
  const length = body.readUInt32BE(MAGIC.length);
  const start = MAGIC.length + LENGTH_BYTES;
  const end = body.length - TAG_BYTES;
  if (length > MAX_HEADER || start + length > end) throw invalid('its header is damaged');
  const head = body.subarray(0, start + length);
  const { kdf, cipher, ...header } = parse(headerSchema, head.subarray(start), 'header');
  return {
    header: { ...header, id: sum.toString('hex') },
    head,
    salt: Buffer.from(kdf.salt, 'base64url'),
    nonce: Buffer.from(cipher.nonce, 'base64url'),
    sealed: body.subarray(head.length, end),
    tag: body.subarray(end),
  };
}

function filesOf(plain: Buffer, header: BackupHeader): readonly BackupFile[] {
  const start = LENGTH_BYTES;
  const length = plain.length < start ? Infinity : plain.readUInt32BE(0);
  if (start + length > plain.length) throw invalid('its content is damaged');
  const manifest = parse(manifestSchema, plain.subarray(start, start + length), 'content');
  let at = start + length;
  const files = manifest.map(({ path, mode, bytes, sha256: digest }) => {
    const content = plain.subarray(at, (at += bytes));
    if (content.length !== bytes || sha256(content) !== digest) throw invalid(`${path} in it is damaged`);
    return { path, mode, content };
  });
  const named = header.entries.map(({ path }) => path).join();
  if (at !== plain.length || manifest.map(({ path }) => path).join() !== named)
    throw invalid('it does not hold what its header lists');
  return files;
}

function parse<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    // The cause would repeat content.
    throw invalid(`its ${what} is not what this release reads`);
  }
}

function invalid(why: string): MpeError {
  return new MpeError('BACKUP_INVALID', `the backup cannot be used: ${why}`);
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(bytes.length);
  return length;
}

/** The same password typed on another keyboard may be composed of other code points: NFC. */
function keyOf(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, 32, { ...SCRYPT, maxmem: 256 * 1024 * 1024 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
