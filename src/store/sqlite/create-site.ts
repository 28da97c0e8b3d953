import { MpeError } from '../../ops/errors.js';
import type { SiteSeed } from '../site-store.js';
import type { Connection } from './connection.js';
import { insertEnrolmentToken } from './enrolment-tokens.js';
import { insertPolicy } from './policy/write-policy.js';
import { insertSealingKey } from './sealing-keys.js';
import { insertSiteDocument } from './site-documents.js';

/**
 * Writes everything that `site init` made, in one transaction. One database is one site.
 *
 * @throws MpeError SITE_EXISTS where the database holds a site already.
 */
export function createSite(c: Connection, seed: SiteSeed): void {
  c.immediate(() => {
    if (c.get('SELECT 1 FROM MPE_Site') !== undefined) {
      throw new MpeError('SITE_EXISTS', 'the database holds a site already; one database is one site');
    }
    const { site, policy, fingerprintKey } = seed;
    c.run(
      `INSERT INTO MPE_Site (Id, SiteGuid, Name, RootThumbprint, TestSite, SiteVersion, CreatedAt)
       VALUES (1, ?, ?, ?, ?, ?, ?)`,
      site.siteGuid,
      site.name,
      site.rootThumbprint,
      site.testSite ? 1 : 0,
      site.siteVersion,
      site.createdAtMs,
    );
    insertSiteDocument(c, seed.siteDocument.version, seed.siteDocument.jws, site.createdAtMs);
    for (const key of seed.sealingKeys) insertSealingKey(c, key);
    c.run(
      'INSERT INTO MPE_FingerprintKeys (FingerprintKeyId, Wrapped, CreatedAt) VALUES (?, ?, ?)',
      fingerprintKey.fingerprintKeyId,
      fingerprintKey.wrapped,
      fingerprintKey.createdAtMs,
    );
    insertPolicy(c, policy);
    for (const token of seed.enrolmentTokens) insertEnrolmentToken(c, token);
  });
}
