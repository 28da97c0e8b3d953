import { OpeningKeys, open } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { CertificateKey, CertificatePublic } from './certificate.js';
import { readCertificateKeys } from './held-certificates.js';

/**
 * Who keeps the private keys of the BitLocker management encryption certificates and opens what is
 * wrapped to them. The private keys never leave it: here is where a hardware module or the key service
 * of a cloud fits. Its one implementation keeps them in files, {@link FileKeeper}.
 */
export interface CertificateKeeper {
  /** The certificates that it can open for now. */
  certificates(): readonly CertificatePublic[];
  /**
   * Looks again at what is there: a certificate may come or go while a process runs.
   *
   * @throws MpeError KEY_FOLDER_INVALID; what was known before stays known
   */
  refresh(): Promise<void>;
  /**
   * Opens a token (compact JWE, typ `mpe-dk`) that is wrapped to one of its certificates.
   *
   * @param thumbprint - of the certificate, hex
   * @throws MpeError CERTIFICATE_UNUSABLE where it does not keep that certificate's key, CANNOT_OPEN and
   *   KID_UNKNOWN as {@link open}
   */
  open(token: string, thumbprint: string): Promise<Buffer>;
  /** Lets the keys go; nothing opens any more. */
  close(): void;
}

/** Whether a keeper has the key of a certificate. */
export function keeps(keeper: CertificateKeeper, thumbprint: string): boolean {
  return keeper.certificates().some((one) => one.thumbprint === thumbprint);
}

interface Kept {
  readonly certificate: CertificatePublic;
  readonly keys: OpeningKeys;
}

/** Keeps private keys in memory, as they were given or as they lie in `recovery/` of a key folder. */
export class FileKeeper implements CertificateKeeper {
  readonly #read: () => readonly CertificateKey[];
  #kept: ReadonlyMap<string, Kept> = new Map();

  private constructor(read: () => readonly CertificateKey[]) {
    this.#read = read;
  }

  /**
   * Keeps the certificates of a key folder.
   *
   * @throws MpeError KEY_FOLDER_INVALID
   */
  static async open(folder: string): Promise<FileKeeper> {
    const keeper = new FileKeeper(() => readCertificateKeys(folder).map(({ certificate }) => certificate));
    await keeper.refresh();
    return keeper;
  }

  /** Keeps certificates that lie in no folder (yet). */
  static async of(certificates: readonly CertificateKey[]): Promise<FileKeeper> {
    const keeper = new FileKeeper(() => certificates);
    await keeper.refresh();
    return keeper;
  }

  certificates(): readonly CertificatePublic[] {
    return [...this.#kept.values()].map(({ certificate }) => certificate);
  }

  async refresh(): Promise<void> {
    const next = new Map<string, Kept>();
    for (const { privateJwk, ...certificate } of this.#read()) {
      const known = this.#kept.get(certificate.thumbprint);
      next.set(certificate.thumbprint, known ?? { certificate, keys: await OpeningKeys.from([privateJwk]) });
    }
    this.#kept = next;
  }

  async open(token: string, thumbprint: string): Promise<Buffer> {
    const kept = this.#kept.get(thumbprint);
    if (kept === undefined) {
      throw new MpeError('CERTIFICATE_UNUSABLE', `the private key of certificate ${thumbprint} is not here`);
    }
    return (await open(token, 'mpe-dk', kept.keys)).payload;
  }

  close(): void {
    this.#kept = new Map();
  }
}
