import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { KEY_FILES, keyFolderError } from './key-files.js';
import type { SiteMaterial } from './site-material.js';
import { certificateThumbprint } from './certificate-file.js';

/** The files of a site's key folder: path inside it → content. */
function filesOf(material: SiteMaterial, nowMs: number): ReadonlyMap<string, string> {
  const { certificate, tls, workerSecret } = material;
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map<string, string>([
    [KEY_FILES.rootKey, json(material.rootKey)],
    [KEY_FILES.ca, tls.caPem],
    [KEY_FILES.caKey, tls.caKeyPem],
    [KEY_FILES.tokenKey, json(material.tokenKey)],
    [KEY_FILES.tlsKey, tls.keyPem],
    [KEY_FILES.tlsChain, tls.chainPem],
    [KEY_FILES.gatewayCa, tls.caPem],
    [KEY_FILES.workerSecret, json({ id: workerSecret.id, key: workerSecret.key.toString('base64url') })],
  ]);
  if (certificate !== null) {
    files.set(KEY_FILES.workerCertificate, certificate.certificatePem);
    files.set(KEY_FILES.certificate, certificate.certificatePem);
    files.set(KEY_FILES.certificateKey, certificate.keyPem);
    files.set(KEY_FILES.auditKey, json(material.auditKey));
  }
  files.set(
    KEY_FILES.site,
    json({
      format: 1,
      siteGuid: material.siteGuid,
      rootThumbprint: material.rootKey.kid,
      certificateThumbprint: certificate === null ? null : certificateThumbprint(certificate.certificatePem),
      createdAt: new Date(nowMs).toISOString(),
    }),
  );
  return files;
}

/**
 * Refuses a folder that holds anything: nothing there is ever overwritten.
 *
 * @throws MpeError KEY_FOLDER_INVALID
 */
export function assertNoKeyFolder(folder: string): void {
  if (!existsSync(folder)) return;
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw keyFolderError(folder, 'is there and is no folder that can be read', error);
  }
  if (names.length === 0) return;
  throw keyFolderError(
    folder,
    'is not empty, and keys are never overwritten. Name another folder with MPE_KEYS_DIR, or move this one away',
  );
}

/**
 * Writes a new key folder: folders 0700, files 0600, everything on disk before it counts as a key
 * folder, so that a crash leaves all of it or nothing that is taken for one.
 *
 * @throws MpeError KEY_FOLDER_INVALID where the folder is not empty or cannot be written
 */
export function writeKeyFolder(folder: string, material: SiteMaterial, nowMs: number): void {
  assertNoKeyFolder(folder);
  // A folder that is there may be a mount point, which cannot be renamed over: it is filled in place.
  // Its site.json comes last, and without it the folder is refused.
  const inPlace = existsSync(folder);
  const draft = inPlace ? folder : `${folder}.new-${process.pid}`;
  try {
    mkdirSync(draft, { recursive: true });
    chmodSync(draft, 0o700);
    for (const [name, content] of filesOf(material, nowMs)) {
      const path = join(draft, name);
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      // A permissive or restrictive umask changes nothing.
      chmodSync(dirname(path), 0o700);
      writeDurably(path, content);
    }
    for (const path of [draft, ...readdirSync(draft).map((name) => join(draft, name))]) syncPath(path);
    if (!inPlace) renameSync(draft, folder);
    syncPath(dirname(folder));
  } catch (error) {
    if (inPlace) emptyFolder(folder);
    else rmSync(draft, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw keyFolderError(folder, `cannot be written (${code})`, error);
  }
}

/** Takes back a key folder that was just written and whose site was not stored. */
export function emptyFolder(folder: string): void {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

function writeDurably(path: string, content: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(path, 0o600);
}

/** Brings a folder's or file's name to disk; Windows opens no folders and needs none of it. */
function syncPath(path: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
