/**
 * Where everything lies in a key folder, and who may read it. A host gets `site.json` and the
 * subfolders of what runs on it, nothing else:
 *
 *     site.json                          site GUID, root thumbprint, certificate thumbprint, created
 *     root/root-key.json                 site root key: on no gateway and no worker
 *     ca/ca.pem, ca/ca-key.pem           site CA: on no gateway and no worker
 *     gateway/token-key.json             signs site tokens
 *     gateway/tls-key.pem, tls-chain.pem, ca.pem
 *     gateway/token-key-next.json, tls-key-next.pem   of a change that is not finished
 *     worker/worker-secret.json          opens the sealing keys and the fingerprint key
 *     worker/BitLockerManagement_CERT.pem
 *     recovery/BitLockerManagement_CERT.pem, BitLockerManagement_CERT-key.pem
 *     recovery/audit-key.json            signs checkpoints of the audit
 *
 * Later certificates lie beside the first one, see held-certificates.ts.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';

/** Paths inside the key folder. */
export const KEY_FILES = {
  site: 'site.json',
  rootKey: 'root/root-key.json',
  ca: 'ca/ca.pem',
  caKey: 'ca/ca-key.pem',
  tokenKey: 'gateway/token-key.json',
  tokenKeyNext: 'gateway/token-key-next.json',
  tlsKey: 'gateway/tls-key.pem',
  tlsKeyNext: 'gateway/tls-key-next.pem',
  tlsChain: 'gateway/tls-chain.pem',
  gatewayCa: 'gateway/ca.pem',
  workerSecret: 'worker/worker-secret.json',
  workerCertificate: 'worker/BitLockerManagement_CERT.pem',
  certificate: 'recovery/BitLockerManagement_CERT.pem',
  certificateKey: 'recovery/BitLockerManagement_CERT-key.pem',
  auditKey: 'recovery/audit-key.json',
} as const;

/** What of it is secret: mode 0600 in a folder of mode 0700. */
const PRIVATE: ReadonlySet<string> = new Set([
  KEY_FILES.rootKey,
  KEY_FILES.caKey,
  KEY_FILES.tokenKey,
  KEY_FILES.tokenKeyNext,
  KEY_FILES.tlsKey,
  KEY_FILES.tlsKeyNext,
  KEY_FILES.workerSecret,
  KEY_FILES.certificateKey,
  KEY_FILES.auditKey,
]);

/** Later certificates keep their keys in `recovery/` too, see held-certificates.ts; other roots in `root/`. */
const isPrivate = (name: string): boolean =>
  PRIVATE.has(name) || /^(?:recovery\/.*-key\.pem|root\/.*\.json)$/.test(name);

/** Bits that let the group or everybody else in. */
const OTHERS = 0o077;
/** No file of a key folder is near this. */
const MAX_BYTES = 64 * 1024;

/** Refuses with KEY_FOLDER_INVALID. `what` starts with the file's path inside the folder. */
export function keyFolderError(folder: string, what: string, cause?: unknown): MpeError {
  return new MpeError('KEY_FOLDER_INVALID', `key folder ${folder}: ${what}`, { cause });
}

/**
 * Refuses a path that the group or others may read. Windows keeps no such bits: there the folder's
 * access list decides, and docs/configuration.md says how to set it.
 */
export function assertPrivate(folder: string, name: string, mode: number): void {
  if (process.platform === 'win32' || (mode & OTHERS) === 0) return;
  throw keyFolderError(
    folder,
    `${name} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}). Treat its keys as ` +
      `known to whoever could read it; if nobody else could: chmod go= ${join(folder, name)}`,
  );
}

/**
 * Reads a file of a key folder.
 *
 * @throws MpeError KEY_FOLDER_INVALID where it is missing, empty, too large, or private and open to
 *   others
 */
export function readKeyFile(folder: string, name: string): string {
  const path = join(folder, name);
  try {
    const { mode, size } = statSync(path);
    if (isPrivate(name)) {
      // Who may write to the folder of a key puts another one in its place.
      assertPrivate(folder, dirname(name), statSync(dirname(path)).mode);
      assertPrivate(folder, name, mode);
    }
    if (size === 0) throw keyFolderError(folder, `${name} is empty. Restore it from its backup`);
    if (size > MAX_BYTES) throw keyFolderError(folder, `${name} is too large to be a key`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof MpeError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') {
      throw keyFolderError(
        folder,
        `${name} is missing. Copy it from the host where "mpe site init" ran or from a backup; ` +
          'keys are never made anew by a running process',
      );
    }
    throw keyFolderError(folder, `${name} cannot be read (${code ?? 'unknown error'})`, error);
  }
}

/** site.json. */
export interface SiteFile {
  readonly siteGuid: Guid;
  readonly rootThumbprint: string;
  /** null on a site without a certificate. */
  readonly certificateThumbprint: string | null;
  readonly createdAt: string;
}

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
const siteFile = z.object({
  format: z.literal(1),
  siteGuid: z.string().transform((text) => parseGuid(text)),
  rootThumbprint: base64url.length(43),
  certificateThumbprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  createdAt: z.iso.datetime(),
});
const es256 = z.object({
  kty: z.literal('EC'),
  kid: base64url.length(43),
  alg: z.literal('ES256'),
  crv: z.literal('P-256'),
  x: base64url.length(43),
  y: base64url.length(43),
  d: base64url.length(43),
});
const workerSecret = z.object({
  id: z.string().transform((text) => parseGuid(text)),
  key: base64url.length(43).transform((text) => Buffer.from(text, 'base64url')),
});

/** Parses JSON of a key file; an error never repeats its content. */
function parse<T>(folder: string, name: string, schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const fields = error instanceof z.ZodError ? error.issues.map((issue) => issue.path.join('.')) : [];
    const where = fields.filter((field) => field !== '').join(', ');
    throw keyFolderError(
      folder,
      `${name} is damaged${where === '' ? '' : ` (${where})`}. Restore its backup`,
    );
  }
}

/** Reads site.json. */
export function readSiteFile(folder: string): SiteFile {
  const { siteGuid, rootThumbprint, certificateThumbprint, createdAt } = parse(
    folder,
    KEY_FILES.site,
    siteFile,
    readKeyFile(folder, KEY_FILES.site),
  );
  return { siteGuid, rootThumbprint, certificateThumbprint, createdAt };
}

/** Reads a private ES256 key. */
export function readSigningKey(folder: string, name: string): PrivateJwk {
  return parse(folder, name, es256, readKeyFile(folder, name));
}

/** A token key beside which stands since when it signs; the first one of a site, made with it, has no time. */
const datedKey = z.object({ madeAt: z.iso.datetime().optional() });

/** Since when the token key signs, in milliseconds; null where it came with the site. */
export function readTokenKeyTime(folder: string): number | null {
  const name = KEY_FILES.tokenKey;
  const { madeAt } = parse(folder, name, datedKey, readKeyFile(folder, name));
  return madeAt === undefined ? null : Date.parse(madeAt);
}

/** The secret under which workers keep the private parts of their keys in the database. */
export interface WorkerSecret {
  readonly id: Guid;
  /** 32 bytes. */
  readonly key: Buffer;
}

/** Reads the worker secret. */
export function readWorkerSecret(folder: string): WorkerSecret {
  const name = KEY_FILES.workerSecret;
  return parse(folder, name, workerSecret, readKeyFile(folder, name));
}
