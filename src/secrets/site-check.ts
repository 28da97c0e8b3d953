/**
 * What every process checks before it works: that key folder, database and site document are of one
 * site and one state. A mix-up found here costs a restart; found later it costs keys.
 *
 * The rows are given as arguments: this folder knows no database.
 */
import { verifySiteDocument } from '../jose/site-document.js';
import type { OpeningKeys } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { CertificatePublic } from './certificate.js';
import type { FingerprintKey } from './fingerprint.js';
import type { KeyFolder } from './key-folder.js';
import {
  openFingerprintKey,
  openSealingKeys,
  type FingerprintKeyLike,
  type SealingKeyLike,
} from './site-keys.js';
import { certificateThumbprint } from './certificate-file.js';

/** A row of the site, as far as the checks need it. */
export interface SiteLike {
  readonly siteGuid: Guid;
  readonly rootThumbprint: string;
}

function mismatch(detail: string, cause?: unknown): MpeError {
  return new MpeError('SITE_MISMATCH', detail, { cause });
}

/**
 * Checks that a key folder belongs to the site of the database, and verifies the site document
 * against the folder's root thumbprint.
 *
 * @param site - the database's site row; null where it holds none
 * @param siteDocumentJws - the newest site document of the database
 * @returns the verified document
 * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC
 */
export async function checkSite(
  keyFolder: KeyFolder,
  site: SiteLike | null,
  siteDocumentJws: string,
): Promise<SiteDocument> {
  assertSiteGuid(keyFolder, site);
  const document = await verifySiteDocument(siteDocumentJws, keyFolder.rootThumbprint);
  await assertSameRoot(keyFolder, site, siteDocumentJws);
  if (document.siteGuid !== keyFolder.siteGuid) {
    throw mismatch(
      `the site document is of site ${document.siteGuid}, the key folder of ${keyFolder.siteGuid}`,
    );
  }
  // Which certificate, the signed document decides. That there is one is for good: an older document
  // must not lead back to plain text.
  if (document.certificateThumbprint === null && keyFolder.certificateThumbprint !== null) {
    throw mismatch(
      `the site document names the certificate (none), the key folder ${keyFolder.certificateThumbprint}. ` +
        'A site that has a certificate never goes back to plain text; restore the newer database.',
    );
  }
  return document;
}

/**
 * Checks that the root that made the database's site leads to this document too. The folder names
 * the first root, or one of its successors: both are of one site where the document joins them.
 */
async function assertSameRoot(keyFolder: KeyFolder, site: SiteLike, siteDocumentJws: string): Promise<void> {
  if (site.rootThumbprint === keyFolder.rootThumbprint) return;
  try {
    await verifySiteDocument(siteDocumentJws, site.rootThumbprint);
  } catch (cause) {
    throw mismatch(
      `the database is site ${site.siteGuid}, the key folder ${keyFolder.path} is of the same site with another root ` +
        'key, and no root change in the site document joins them. Check MPE_KEYS_DIR and MPE_STORE_URL.',
      cause,
    );
  }
}

/**
 * Checks that a key folder and a database name the same site.
 *
 * @throws MpeError SITE_MISMATCH, also where the database holds no site
 */
export function assertSiteGuid(keyFolder: KeyFolder, site: SiteLike | null): asserts site is SiteLike {
  if (site === null) {
    throw mismatch(
      `the database holds no site, the key folder is of site ${keyFolder.siteGuid}. Check MPE_STORE_URL, restore ` +
        'the database, or make a new site with "mpe site init" and another MPE_KEYS_DIR.',
    );
  }
  if (site.siteGuid !== keyFolder.siteGuid) {
    throw mismatch(
      `the database is site ${site.siteGuid}, the key folder ${keyFolder.path} is of site ${keyFolder.siteGuid}. ` +
        'Check MPE_KEYS_DIR and MPE_STORE_URL.',
    );
  }
}

/** What the database gives a worker. */
export interface WorkerRows {
  readonly site: SiteLike | null;
  readonly siteDocumentJws: string;
  readonly sealingKeys: readonly SealingKeyLike[];
  readonly fingerprintKey: FingerprintKeyLike;
}

/** What a worker works with. */
export interface WorkerKeys {
  readonly document: SiteDocument;
  readonly sealingKeys: OpeningKeys;
  readonly fingerprintKey: FingerprintKey;
  /**
   * null: plain text where the document consents to it; else no secret may be stored, which refuses
   * items and not the worker: check-ins go on, and clients are told why.
   */
  readonly certificate: CertificatePublic | null;
}

/**
 * Opens and checks all that a worker needs: {@link checkSite}; every sealing key opens and every one
 * that the document offers is there; the fingerprint key opens; the certificate is the document's.
 *
 * @param former - the certificate that a running worker wraps to: it goes on with it where the new one has
 *   not come to this host yet, as what it wraps stays readable and everything else of a new document counts
 * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC, KEY_FOLDER_INVALID
 */
export async function openWorkerKeys(
  keyFolder: KeyFolder,
  rows: WorkerRows,
  former: CertificatePublic | null = null,
): Promise<WorkerKeys> {
  const document = await checkSite(keyFolder, rows.site, rows.siteDocumentJws);
  const secret = keyFolder.workerSecret();
  const sealingKeys = await openSealingKeys(rows.sealingKeys, secret);
  const missing = document.sealingKeys.filter((key) => !sealingKeys.has(key.kid));
  if (missing.length > 0) {
    throw mismatch(
      `the site document offers sealing keys that the database does not hold: ${missing.map((k) => k.kid).join(', ')}. ` +
        'What clients seal to them could not be opened; restore the newer database.',
    );
  }
  return {
    document,
    sealingKeys,
    fingerprintKey: await openFingerprintKey(rows.fingerprintKey, secret),
    certificate: certificateOf(keyFolder, document, former),
  };
}

function certificateOf(
  keyFolder: KeyFolder,
  document: SiteDocument,
  former: CertificatePublic | null,
): CertificatePublic | null {
  try {
    return keyFolder.certificate(document.certificateThumbprint);
  } catch (error) {
    if (former === null || !isMpeError(error, 'KEY_FOLDER_INVALID')) throw error;
    return former;
  }
}

/**
 * Checks that a gateway's keys are the ones that the site document tells clients to trust.
 *
 * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC, KEY_FOLDER_INVALID
 */
export async function checkGatewayKeys(
  keyFolder: KeyFolder,
  site: SiteLike | null,
  siteDocumentJws: string,
): Promise<SiteDocument> {
  const document = await checkSite(keyFolder, site, siteDocumentJws);
  const { kid } = keyFolder.tokenKey();
  if (!document.tokenKeys.some((key) => key.kid === kid)) {
    throw mismatch(`the gateway's token key ${kid} is not among those of the site document`);
  }
  if (certificateThumbprint(keyFolder.tls().ca) !== document.gatewayCaThumbprint) {
    throw mismatch("the gateway's CA is not the one of the site document: no client would connect");
  }
  return document;
}
