import type { OpeningKeys } from '../jose/index.js';
import type { Clock } from '../ops/clock.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import { DataKeyRing } from '../secrets/data-key-ring.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { assertSiteGuid, openWorkerKeys } from '../secrets/site-check.js';
import type { SecretForm, SecretIdentity } from '../secrets/types.js';
import type { PolicyRow, SealingKeyRow, SiteRow, SiteStore } from '../store/site-store.js';

/** What a worker knows of its site at one moment. */
export interface SiteSnapshot {
  readonly site: SiteRow;
  readonly document: SiteDocument;
  readonly openingKeys: OpeningKeys;
  readonly policies: readonly PolicyRow[];
  /** The certificate that data keys are wrapped to; null on a site without one. */
  readonly certificate: CertificatePublic | null;
}

/** What {@link SiteContext} is made of. */
export interface SiteContextOptions {
  readonly store: SiteStore;
  readonly keyFolder: KeyFolder;
  readonly clock: Clock;
  readonly log: Logger;
  /** Name of this process, for data key rows. */
  readonly by: string;
  /** Least time between two reloads for an unknown kid. */
  readonly reloadEveryMs?: number;
}

/**
 * The site as this process knows it: the document (verified against the pinned root), sealing keys,
 * policies, the fingerprint key and the data keys. Read at start, then again every few seconds by
 * housekeeping and when a kid is not known.
 */
export class SiteContext {
  readonly fingerprintKey: FingerprintKey;
  readonly #options: SiteContextOptions;
  #current: SiteSnapshot;
  #ring: DataKeyRing | null = null;
  #reloadedAt: number;
  #reloading: Promise<void> | null = null;

  private constructor(options: SiteContextOptions, fingerprintKey: FingerprintKey, current: SiteSnapshot) {
    this.#options = options;
    this.fingerprintKey = fingerprintKey;
    this.#current = current;
    this.#reloadedAt = performance.now();
    this.#useCertificate(null);
  }

  /**
   * Reads the site and checks it against the key folder.
   *
   * @throws MpeError SITE_MISMATCH where store and key folder are of two sites, NOT_AUTHENTIC where
   *   the site document is not signed by the pinned root, KEY_FOLDER_INVALID where the worker secret
   *   does not open the site's keys.
   */
  static async create(options: SiteContextOptions): Promise<SiteContext> {
    const { snapshot, fingerprintKey } = await readSnapshot(options);
    return new SiteContext(options, fingerprintKey, snapshot);
  }

  /** The site as last read. */
  get current(): SiteSnapshot {
    return this.#current;
  }

  /** Reads the site again; concurrent callers share one reading. Keeps the old state where it fails. */
  async reload(): Promise<void> {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = null;
    });
    await this.#reloading;
  }

  /**
   * Reads the site again because a kid is not known, unless that was done moments ago: a flood of
   * unknown kids must not become a flood of queries.
   *
   * A site that does not read well (a document that this host's key folder does not fit yet) is a
   * fault of the site: it is logged, the old state stays, and the message is no worse off than with
   * a kid that nobody knows.
   *
   * @returns whether it was read, so that trying again makes sense
   * @throws MpeError STORE_TRANSIENT where the database does not answer: run the message again later
   */
  async reloadForUnknownKid(): Promise<boolean> {
    const every = this.#options.reloadEveryMs ?? 3000;
    if (this.#reloading === null && performance.now() - this.#reloadedAt < every) return false;
    try {
      await this.reload();
      return true;
    } catch (error) {
      if (isMpeError(error) && error.retryable) throw error;
      this.#reloadedAt = performance.now();
      this.#options.log.error(
        { event: 'worker.site_unreadable', error },
        'the site does not read well: working with what was read before; unknown keys are quarantined',
      );
      return false;
    }
  }

  /** Whether secrets can be stored at all. */
  get mayStore(): boolean {
    return this.#current.certificate !== null || this.#current.document.plaintextConsent;
  }

  /** Encrypts a secret for its place; on a site without a certificate that consented, plain. */
  async encrypt(identity: SecretIdentity, plaintext: Uint8Array): Promise<SecretForm> {
    if (this.#ring !== null) return this.#ring.encrypt(identity, plaintext);
    if (!this.#current.document.plaintextConsent) {
      throw new MpeError('INTERNAL', 'neither certificate nor consent: the gates let a secret through');
    }
    return { form: 'PLAIN', bytes: plaintext };
  }

  /** The database lost the data key that is in use: the next secret is encrypted with a new one. */
  forgetDataKey(): void {
    if (this.#ring === null) return;
    this.#ring.forget();
    this.#options.log.error(
      { event: 'worker.data_key_missing' },
      'the data key of this process is not in the database, which was restored or has failed over: a new one is made. ' +
        'What the database lost comes back with the check-ins',
    );
  }

  async #reload(): Promise<void> {
    const before = this.#current;
    this.#current = (await readSnapshot(this.#options, before.certificate)).snapshot;
    this.#reloadedAt = performance.now();
    this.#useCertificate(before.certificate);
    // A site that had none: with its first data key the database refuses plain text for good.
    if (before.certificate === null) await this.#ring?.prepare();
    if (this.#current.document.version !== before.document.version) {
      const version = this.#current.document.version;
      this.#options.log.info({ event: 'worker.site_document', version }, 'a newer site document');
    }
  }

  #useCertificate(before: CertificatePublic | null): void {
    const { certificate, site, document } = this.#current;
    if (certificate === null) {
      this.#ring = null;
      if (document.plaintextConsent) {
        this.#options.log.warn(
          { event: 'worker.plaintext' },
          'this site stores recovery keys in PLAIN TEXT by its own consent',
        );
      } else {
        this.#options.log.error(
          { event: 'worker.no_certificate' },
          'this site has neither a certificate nor consent to plain text: every secret is refused with NO_CERTIFICATE',
        );
      }
      return;
    }
    if (certificate.thumbprint !== document.certificateThumbprint) {
      this.#options.log.error(
        { event: 'worker.certificate_missing', thumbprint: document.certificateThumbprint },
        `the site document names the certificate ${document.certificateThumbprint ?? '(none)'}, which is not in worker/ of ` +
          'the key folder: data keys go on being wrapped to the former one. Copy worker/ to this host',
      );
    }
    if (this.#ring !== null && before?.thumbprint === certificate.thumbprint) return;
    const { store, clock, by } = this.#options;
    this.#ring = new DataKeyRing({
      siteGuid: site.siteGuid,
      certificate,
      persist: (row) => store.insertDataKey(row),
      clock,
      by,
    });
  }
}

async function readSnapshot(
  options: SiteContextOptions,
  former: CertificatePublic | null = null,
): Promise<{ snapshot: SiteSnapshot; fingerprintKey: FingerprintKey }> {
  const { store, keyFolder } = options;
  const site = await store.readSite();
  assertSiteGuid(keyFolder, site);
  const fingerprintKey = await store.readFingerprintKey();
  const { jws, sealingKeys } = await readKeysOfDocument(store);
  const keys = await openWorkerKeys(
    keyFolder,
    { site, siteDocumentJws: jws, sealingKeys, fingerprintKey },
    former,
  );
  const snapshot: SiteSnapshot = {
    site,
    document: keys.document,
    openingKeys: keys.sealingKeys,
    policies: await store.readPolicies(),
    certificate: keys.certificate,
  };
  return { snapshot, fingerprintKey: keys.fingerprintKey };
}

/**
 * The site document and the sealing keys of one moment: a key that is being published or retired
 * between two reads would look like a database that lacks it.
 */
async function readKeysOfDocument(
  store: SiteStore,
): Promise<{ readonly jws: string; readonly sealingKeys: readonly SealingKeyRow[] }> {
  for (let tries = 1; ; tries += 1) {
    const { version, jws } = await store.readSiteDocument();
    const sealingKeys = await store.readSealingKeys();
    if (tries >= 3 || (await store.readSiteDocument()).version === version) return { jws, sealingKeys };
  }
}
