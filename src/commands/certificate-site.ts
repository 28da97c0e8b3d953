import { clockOf, type Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { certificateStates, type CertificateState } from '../recovery/certificate-states.js';
import { FileKeeper } from '../secrets/certificate-keeper.js';
import { openKeyFolder, type KeyFolder } from '../secrets/key-folder.js';
import { checkSite } from '../secrets/site-check.js';
import type { DataKeyRow } from '../secrets/types.js';
import type { SiteStore } from '../store/site-store.js';
import { table } from './output.js';
import { requireSite } from './with-store.js';

/** What every certificate command looks at. */
export interface CertificateSite {
  readonly keyFolder: KeyFolder;
  readonly keeper: FileKeeper;
  readonly document: SiteDocument;
  readonly rows: readonly DataKeyRow[];
  readonly states: readonly CertificateState[];
  readonly clock: Clock;
}

/**
 * Opens key folder and database, checks that they are of one site, and counts.
 *
 * @throws MpeError KEY_FOLDER_INVALID, SITE_MISMATCH, NOT_AUTHENTIC
 */
export async function lookAtCertificates(config: Config, store: SiteStore): Promise<CertificateSite> {
  const keyFolder = await openKeyFolder(config.keysDir, 'anyone');
  const site = await requireSite(store);
  const document = await checkSite(keyFolder, site, (await store.readSiteDocument()).jws);
  const keeper = await FileKeeper.open(config.keysDir);
  const rows = await store.readDataKeys();
  const states = certificateStates(rows, site.siteGuid, document.certificateThumbprint, keeper);
  return { keyFolder, keeper, document, rows, states, clock: clockOf(config, site.testSite) };
}

/** Counts per certificate, for people. */
export function stateLines(states: readonly CertificateState[]): readonly string[] {
  return table(
    ['certificate', 'is', 'key here', 'data keys', 'missing'],
    states.map(({ thumbprint, role, here, dataKeys, missing }) => [
      thumbprint,
      role,
      here ? 'yes' : 'no',
      String(dataKeys),
      String(missing),
    ]),
  );
}
