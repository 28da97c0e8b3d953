import { readdirSync, statSync } from 'node:fs';
import { thumbprint } from '../jose/index.js';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { CertificateKey, CertificatePublic } from './certificate.js';
import { readCertificateKeys, readPublicCertificates, type Filed } from './held-certificates.js';
import {
  assertPrivate,
  KEY_FILES,
  keyFolderError,
  readKeyFile,
  readSigningKey,
  readSiteFile,
  readWorkerSecret,
  type SiteFile,
  type WorkerSecret,
} from './key-files.js';
import { readTlsPair } from './tls-pair.js';

export type { WorkerSecret } from './key-files.js';

/**
 * What a process is, and so which keys it needs. An operator has the whole folder; anyone reads
 * site.json, which holds no secret.
 */
export type KeyFolderRole = 'worker' | 'gateway' | 'recovery' | 'operator' | 'anyone';

/** TLS of a gateway, PEM. */
export interface GatewayTls {
  readonly key: string;
  /** Leaf, then CA. */
  readonly cert: string;
  readonly ca: string;
}

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * An opened key folder: read and checked at start for what the role needs. What another role needs
 * is read when asked for, and refused where it is not there. Nothing here ever writes.
 */
export class KeyFolder {
  readonly path: string;
  readonly siteGuid: Guid;
  readonly rootThumbprint: string;
  /** SHA-256 hex; null on a site without a certificate. */
  readonly certificateThumbprint: string | null;
  readonly #cache = new Map<string, unknown>();

  constructor(path: string, site: SiteFile) {
    this.path = path;
    this.siteGuid = site.siteGuid;
    this.rootThumbprint = site.rootThumbprint;
    this.certificateThumbprint = site.certificateThumbprint;
  }

  /** Opens the sealing keys and the fingerprint key. Worker. */
  workerSecret(): WorkerSecret {
    return this.#once('workerSecret', () => readWorkerSecret(this.path));
  }

  /** Signs site tokens. Gateway. */
  tokenKey(): PrivateJwk {
    return this.#once('tokenKey', () => this.#signingKey(KEY_FILES.tokenKey));
  }

  /** TLS key and chain. Gateway. */
  tls(): GatewayTls {
    return this.#once('tls', () => {
      const ca = readKeyFile(this.path, KEY_FILES.gatewayCa);
      return { ...readTlsPair(this.path), ca };
    });
  }

  /**
   * Wraps data keys; null on a site without a certificate. Worker.
   *
   * @param thumbprint - the one that the site document names; without it, the one of site.json
   * @throws MpeError KEY_FOLDER_INVALID where the folder does not hold it
   */
  certificate(thumbprint = this.certificateThumbprint): CertificatePublic | null {
    return this.#certificate('worker', KEY_FILES.workerCertificate, readPublicCertificates, thumbprint);
  }

  /** The private key of one certificate, as {@link certificate}. Recovery service. */
  certificateKey(thumbprint = this.certificateThumbprint): CertificateKey | null {
    return this.#certificate('recovery', KEY_FILES.certificate, readCertificateKeys, thumbprint);
  }

  /** Signs site documents. Operator. */
  rootKey(): PrivateJwk {
    return this.#once('rootKey', () => {
      const key = this.#signingKey(KEY_FILES.rootKey);
      if (key.kid === this.rootThumbprint) return key;
      throw keyFolderError(this.path, `${KEY_FILES.rootKey} is not the root key that site.json names`);
    });
  }

  #signingKey(name: string): PrivateJwk {
    const key = readSigningKey(this.path, name);
    if (thumbprint(key) !== key.kid) throw keyFolderError(this.path, `${name} has a kid that is not its own`);
    return key;
  }

  /** What is not in memory is looked for on disk: a certificate may be added while a process runs. */
  #certificate<T extends CertificatePublic>(
    part: 'worker' | 'recovery',
    first: string,
    read: (folder: string) => readonly Filed<T>[],
    thumbprint: string | null,
  ): T | null {
    if (thumbprint === null) return null;
    return this.#once(`${part} ${thumbprint}`, () => {
      const held = read(this.path);
      const found = held.find(({ certificate }) => certificate.thumbprint === thumbprint);
      if (found !== undefined) return found.certificate;
      // Says how a missing one is put back.
      if (held.length === 0) readKeyFile(this.path, first);
      throw keyFolderError(
        this.path,
        `${part}/ holds another certificate (${held.map(({ certificate }) => certificate.thumbprint).join(', ')}) than ` +
          `${thumbprint === this.certificateThumbprint ? 'site.json' : 'the site document'} names (${thumbprint}). ` +
          `Copy ${part}/ from the key folder in which it was made`,
      );
    });
  }

  #once<T>(name: string, read: () => T): T {
    if (!this.#cache.has(name)) this.#cache.set(name, read());
    return this.#cache.get(name) as T;
  }
}

/**
 * Opens a key folder and reads what the role needs, so that a process with a bad folder ends at
 * start and not at its first message. It never makes a key.
 *
 * @throws MpeError KEY_FOLDER_INVALID where the folder is missing, empty, of something else,
 *   incomplete, damaged, or lets others read a private file
 */
// eslint-disable-next-line @typescript-eslint/require-await -- asynchronous, as key stores elsewhere will be
export async function openKeyFolder(path: string, role: KeyFolderRole): Promise<KeyFolder> {
  assertFolder(path);
  const folder = new KeyFolder(path, readSiteFile(path));
  const all = role === 'operator';
  if (all || role === 'worker') {
    assertSubfolder(path, 'worker');
    folder.workerSecret();
    folder.certificate();
  }
  if (all || role === 'gateway') {
    assertSubfolder(path, 'gateway');
    folder.tokenKey();
    folder.tls();
  }
  if ((all || role === 'recovery') && folder.certificateThumbprint !== null) {
    assertSubfolder(path, 'recovery');
    folder.certificateKey();
  }
  if (all) {
    assertSubfolder(path, 'root');
    assertSubfolder(path, 'ca');
    folder.rootKey();
    readKeyFile(path, KEY_FILES.ca);
    readKeyFile(path, KEY_FILES.caKey);
  }
  return folder;
}

function assertFolder(path: string): void {
  let names: readonly string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw keyFolderError(
      path,
      code === 'ENOENT'
        ? 'does not exist. Set MPE_KEYS_DIR to the folder that "mpe site init" made, or run it on a new site'
        : `cannot be read (${code})`,
      error,
    );
  }
  if (names.length === 0) {
    throw keyFolderError(
      path,
      'is empty. Restore it from its backup; keys are made by "mpe site init" alone, never by a running process',
    );
  }
  if (!names.includes(KEY_FILES.site)) {
    throw keyFolderError(path, `is no key folder of a site: it has no ${KEY_FILES.site}. Check MPE_KEYS_DIR`);
  }
  assertOwnersPlace(path);
}

/**
 * Refuses a folder to which everybody may write: anybody could exchange its parts, whatever their modes say.
 * A sticky one (as Kubernetes mounts secrets) keeps others from that.
 */
function assertOwnersPlace(path: string): void {
  const { mode } = statSync(path);
  if (process.platform === 'win32' || (mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0) return;
  throw keyFolderError(
    path,
    `everybody may write to it (mode ${(mode & 0o7777).toString(8).padStart(4, '0')}), and so exchange keys. Compare ` +
      `them with their backup ("mpe backup verify"), then: chmod go= ${path}`,
  );
}

function assertSubfolder(path: string, name: string): void {
  try {
    assertPrivate(path, name, statSync(`${path}/${name}`).mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw keyFolderError(
      path,
      `${name}/ is missing; this process needs it. Copy it from the site's key folder`,
    );
  }
}
