import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { FileKeeper, keeps, type CertificateKeeper } from '../secrets/certificate-keeper.js';
import { CERTIFICATE_NAME, type CertificatePublic } from '../secrets/certificate.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import { openKeyFolder, type KeyFolder } from '../secrets/key-folder.js';
import { holdsCertificateKey } from '../secrets/held-certificates.js';
import { KEY_FILES } from '../secrets/key-files.js';
import { checkSite } from '../secrets/site-check.js';
import { openFingerprintKey } from '../secrets/site-keys.js';
import type { DataKeyRow } from '../secrets/types.js';
import type { SiteStore } from '../store/site-store.js';
import { DataKeyCache } from './data-key-cache.js';
import { isKept, ownRows } from './own-rows.js';

/** Data keys that are tried before the certificate counts as the wrong one: the newest. */
const TRIED_AT_START = 8;

/** What the recovery service knows of its site. */
export interface RecoverySite {
  readonly keyFolder: KeyFolder;
  readonly document: SiteDocument;
  /** The one that the site document names; null on a site without. */
  readonly certificate: CertificatePublic | null;
  readonly keeper: CertificateKeeper;
  readonly keys: DataKeyCache;
  /** null: this host does not hold the worker secret. */
  readonly fingerprintKey: FingerprintKey | null;
}

/**
 * Opens the key folder and checks it against the database: both are of one site, the site document
 * verifies and names this certificate, and the certificate opens data keys of the database.
 *
 * @throws MpeError CERTIFICATE_UNUSABLE where the database needs a certificate and none here opens its
 *   data keys; KEY_FOLDER_INVALID, SITE_MISMATCH, NOT_AUTHENTIC
 */
export async function openRecoverySite(
  keysDir: string,
  store: SiteStore,
  context: { readonly clock: Clock; readonly log: Logger },
): Promise<RecoverySite> {
  const named = await openKeyFolder(keysDir, 'anyone');
  const site = await store.readSite();
  const document = await checkSite(named, site, site === null ? '' : (await store.readSiteDocument()).jws);
  const rows = await store.readDataKeys();
  if (document.certificateThumbprint === null)
    return withoutCertificate(named, document, store, rows, context);

  assertFilesThere(keysDir, document.certificateThumbprint, rows);
  const keyFolder = await openKeyFolder(keysDir, 'recovery');
  const keeper = await FileKeeper.open(keysDir);
  assertKept(keysDir, document.certificateThumbprint, keeper, rows);
  const certificate = keyFolder.certificateKey(document.certificateThumbprint);
  const keys = new DataKeyCache({ siteGuid: document.siteGuid, keeper });
  await assertOpensSome(keysDir, document, { keeper, keys }, rows);
  const fingerprintKey = await fingerprintKeyOf(keyFolder, store);
  return { keyFolder, document, certificate, keeper, keys, fingerprintKey };
}

/** Plain text by consent, or a site where nothing can be stored: it runs, and says so loudly. */
async function withoutCertificate(
  keyFolder: KeyFolder,
  document: SiteDocument,
  store: SiteStore,
  rows: readonly DataKeyRow[],
  { log }: { readonly log: Logger },
): Promise<RecoverySite> {
  if (rows.length > 0) {
    throw new MpeError(
      'CERTIFICATE_UNUSABLE',
      `the database holds ${rows.length} wrapped data keys, and neither the site document nor ${keyFolder.path} ` +
        'names a certificate that opens them. Was this database, or this key folder, restored from another time? ' +
        'Bring database and key folder of one time together and start again; nothing was changed.',
    );
  }
  if (document.plaintextConsent) {
    log.warn(
      { event: 'recovery.plaintext' },
      'this site stores recovery keys in PLAIN TEXT by its own consent: whoever reads the database reads them',
    );
  } else {
    log.error(
      { event: 'recovery.no_certificate' },
      'this site has neither a certificate nor consent to plain text',
    );
  }
  // From its folder all the same: the site may get a certificate while this process runs.
  const keeper = await FileKeeper.open(keyFolder.path);
  const keys = new DataKeyCache({ siteGuid: document.siteGuid, keeper });
  const fingerprintKey = await fingerprintKeyOf(keyFolder, store);
  return { keyFolder, document, certificate: null, keeper, keys, fingerprintKey };
}

/** A database that was restored without its certificate ends here. */
function assertFilesThere(keysDir: string, thumbprint: string, rows: readonly DataKeyRow[]): void {
  if (holdsCertificateKey(keysDir)) return;
  const missing = [KEY_FILES.certificate, KEY_FILES.certificateKey].filter(
    (name) => !existsSync(join(keysDir, name)),
  );
  if (missing.length === 0) return;
  throw unusable(
    thumbprint,
    rows,
    `In ${keysDir} there is no ${missing.join(' and no ')}. Put the folder recovery/ of this site's key folder there ` +
      'from its backup (folder 0700, files 0600), or set MPE_KEYS_DIR to where it is',
  );
}

/** A database that was restored with a former certificate, or before the new one came here, ends here. */
function assertKept(
  keysDir: string,
  thumbprint: string,
  keeper: CertificateKeeper,
  rows: readonly DataKeyRow[],
): void {
  if (keeps(keeper, thumbprint)) return;
  const here = keeper.certificates().map((certificate) => certificate.thumbprint);
  throw unusable(
    thumbprint,
    rows,
    `In ${keysDir}/recovery there is ${here.join(', ')} and not that one. Put the folder recovery/ of this site's key ` +
      'folder there from its newest backup (folder 0700, files 0600), or run "mpe certificate restore"',
  );
}

/** The files are the certificate that the site document names: do they open what is stored? */
async function assertOpensSome(
  keysDir: string,
  { siteGuid, certificateThumbprint }: SiteDocument,
  { keeper, keys }: { readonly keeper: CertificateKeeper; readonly keys: DataKeyCache },
  rows: readonly DataKeyRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const thumbprint = certificateThumbprint ?? '';
  const others = [...new Set(rows.map((row) => row.certificateThumbprint))].filter(
    (one) => one !== thumbprint,
  );
  const own = ownRows(rows, { siteGuid, thumbprint, keeper });
  keys.useRows(own);
  const newest = [...own.values()]
    .filter((row) => isKept(keeper, row))
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
  for (const row of newest.slice(0, TRIED_AT_START)) {
    try {
      await keys.dataKey(row.dataKeyId);
      return;
    } catch (error) {
      if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
    }
  }
  throw unusable(
    thumbprint,
    rows,
    `${keysDir} holds ${CERTIFICATE_NAME} ${thumbprint}, which opens none of them` +
      `${others.length === 0 ? '' : `; they are wrapped to ${others.slice(0, 3).join(', ')}`}. Bring the certificate ` +
      'that they are wrapped to, with the site document that names it, or the database that belongs to this one',
  );
}

function unusable(thumbprint: string, rows: readonly DataKeyRow[], rest: string): MpeError {
  return new MpeError(
    'CERTIFICATE_UNUSABLE',
    `no stored key can be read on this host: the site document names ${CERTIFICATE_NAME} ${thumbprint}, the database ` +
      `holds ${new Set(rows.map((row) => row.dataKeyId)).size} data keys. ${rest}, and start again. Until then escrow ` +
      'goes on without this service; nothing was changed.',
    { facts: { dataKeys: rows.length } },
  );
}

/**
 * The fingerprint key, where this host holds the worker secret (as with everything on one host). A
 * recovery host does not need it, and better does not have it: with it, it could open messages.
 */
async function fingerprintKeyOf(keyFolder: KeyFolder, store: SiteStore): Promise<FingerprintKey | null> {
  if (!existsSync(join(keyFolder.path, KEY_FILES.workerSecret))) return null;
  return openFingerprintKey(await store.readFingerprintKey(), keyFolder.workerSecret());
}
