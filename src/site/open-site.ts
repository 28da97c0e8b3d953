import type { Clock } from '../ops/clock.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { assertSiteGuid, checkSite } from '../secrets/site-check.js';
import type { SiteStore } from '../store/site-store.js';
import type { SiteTruth } from './site-truth.js';

/** What every change of a site works on. */
export interface SiteChange {
  readonly store: SiteStore;
  readonly keyFolder: KeyFolder;
  readonly clock: Clock;
}

/**
 * Reads what decides over the site document, and the document itself, verified.
 *
 * @throws MpeError SITE_MISMATCH, NOT_AUTHENTIC
 */
export async function readTruth({
  store,
  keyFolder,
}: SiteChange): Promise<{ readonly truth: SiteTruth; readonly document: SiteDocument }> {
  const site = await store.readSite();
  assertSiteGuid(keyFolder, site);
  // The document first: keys that are read after it are as new as it, or newer.
  const document = await checkSite(keyFolder, site, (await store.readSiteDocument()).jws);
  const truth = {
    site,
    sealingKeys: await store.readSealingKeys(),
    archived: await store.readArchivedSealingKeys(),
    policies: await store.readPolicies(),
  };
  return { truth, document };
}
