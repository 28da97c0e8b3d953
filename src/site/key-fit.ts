import { isMpeError } from '../ops/errors.js';
import { FileKeeper } from '../secrets/certificate-keeper.js';
import { partsOf, type KeyPart } from '../secrets/inventory.js';
import { openKeyFolder, type KeyFolder } from '../secrets/key-folder.js';
import { SecretOpener } from '../secrets/open-secret.js';
import { withoutFormerSentinels } from '../secrets/sentinel.js';
import { checkGatewayKeys, checkSite } from '../secrets/site-check.js';
import { openFingerprintKey, openSealingKeys } from '../secrets/site-keys.js';
import type { SiteStore } from '../store/site-store.js';

/** One comparison of a key folder with a database. */
export interface Fit {
  /** A stable word for it. */
  readonly what: 'site' | 'gateway keys' | 'sealing keys' | 'data keys' | 'key folder';
  readonly state: 'fits' | 'differs' | 'not compared';
  readonly text: string;
}

/**
 * Compares a key folder with the database: are they of one site, and does what lies here open what lies
 * there? Each part of the folder on its own, those that are here alone. Never throws for what it finds.
 *
 * @param dataKeysAtMost - the newest are tried; each costs a private RSA operation
 */
export async function fitOfKeys(
  store: SiteStore,
  keysDir: string,
  dataKeysAtMost = Infinity,
): Promise<readonly Fit[]> {
  let keys: KeyFolder;
  try {
    keys = await openKeyFolder(keysDir, 'anyone');
  } catch (error) {
    return [failed('key folder', error)];
  }
  const parts = partsOf(keysDir);
  const fits = [await compare('site', () => siteFits(store, keys))];
  const more: readonly [KeyPart, Fit['what'], () => Promise<string>][] = [
    ['gateway', 'gateway keys', () => gatewayFits(store, keys)],
    ['worker', 'sealing keys', () => workerFits(store, keys)],
    ['recovery', 'data keys', () => dataKeysFit(store, keys, dataKeysAtMost)],
  ];
  for (const [part, what, work] of more) if (parts.includes(part)) fits.push(await compare(what, work));
  return fits;
}

async function compare(what: Fit['what'], work: () => Promise<string>): Promise<Fit> {
  try {
    return { what, state: 'fits', text: await work() };
  } catch (error) {
    return failed(what, error);
  }
}

function failed(what: Fit['what'], error: unknown): Fit {
  const text = error instanceof Error ? error.message : 'failed';
  return { what, state: isMpeError(error) && error.retryable ? 'not compared' : 'differs', text };
}

async function siteFits(store: SiteStore, keys: KeyFolder): Promise<string> {
  const site = await store.readSite();
  const document = await checkSite(keys, site, site === null ? '' : (await store.readSiteDocument()).jws);
  return `site ${keys.siteGuid}; site document ${document.version} is signed by its root`;
}

async function gatewayFits(store: SiteStore, keys: KeyFolder): Promise<string> {
  await checkGatewayKeys(keys, await store.readSite(), (await store.readSiteDocument()).jws);
  return 'token key and CA are those of the site document';
}

async function workerFits(store: SiteStore, keys: KeyFolder): Promise<string> {
  const rows = await store.readSealingKeys();
  const secret = keys.workerSecret();
  await openSealingKeys(rows, secret);
  await openFingerprintKey(await store.readFingerprintKey(), secret);
  return `${rows.length} sealing keys and the fingerprint key open`;
}

async function dataKeysFit(store: SiteStore, keys: KeyFolder, atMost: number): Promise<string> {
  const keeper = await FileKeeper.open(keys.path);
  try {
    const { certificateThumbprint } = await checkSite(
      keys,
      await store.readSite(),
      (await store.readSiteDocument()).jws,
    );
    const dataKeys = withoutFormerSentinels(await store.readDataKeys(), keys.siteGuid, certificateThumbprint);
    const opener = new SecretOpener({ siteGuid: keys.siteGuid, keeper, dataKeys });
    // A data key may be wrapped to several certificates: a row each.
    const ids = [...dataKeys].sort((a, b) => b.createdAtMs - a.createdAtMs).map((row) => row.dataKeyId);
    const tried = [...new Set(ids)].slice(0, atMost);
    for (const id of tried) await opener.checkDataKey(id);
    const all = new Set(ids).size;
    return `${tried.length === all ? all : `the newest ${tried.length} of ${all}`} data keys open`;
  } finally {
    keeper.close();
  }
}
