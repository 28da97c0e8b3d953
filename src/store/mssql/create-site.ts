import { MpeError } from '../../ops/errors.js';
import type { SiteSeed } from '../site-store.js';
import type { Connection } from './connection.js';
import { insertEnrolmentToken } from './enrolment-tokens.js';
import { isUniqueViolation } from './errors.js';
import { flagOf, guidOf, textOf, timeOf, wordOf } from './parameters.js';
import { insertPolicy } from './policy/write-policy.js';
import { readSite } from './read-site.js';
import { insertSealingKey } from './sealing-keys.js';
import { insertSiteDocument } from './site-documents.js';
import type { Session } from './session.js';

/**
 * Writes everything that `site init` made, in one transaction. One database is one site: its row
 * goes in first, and the primary key decides between two that run at once.
 *
 * @throws MpeError SITE_EXISTS where the database holds a site already.
 */
export async function createSite(connection: Connection, seed: SiteSeed): Promise<void> {
  if ((await readSite(connection)) !== null) throw siteExists();
  try {
    await connection.transaction((tx) => insertAll(tx, seed));
  } catch (error) {
    if (isUniqueViolation(error) && (await readSite(connection)) !== null) throw siteExists();
    throw error;
  }
}

const siteExists = (): MpeError =>
  new MpeError('SITE_EXISTS', 'the database holds a site already; one database is one site');

async function insertAll(tx: Session, seed: SiteSeed): Promise<void> {
  const { site, policy, fingerprintKey } = seed;
  await tx.query(
    `INSERT INTO MPE_Site (Id, SiteGuid, Name, RootThumbprint, TestSite, SiteVersion, CreatedAt)
     VALUES (1, @siteGuid, @name, @rootThumbprint, @testSite, @siteVersion, @createdAt)`,
    {
      siteGuid: guidOf(site.siteGuid),
      name: textOf(site.name),
      rootThumbprint: wordOf(site.rootThumbprint),
      testSite: flagOf(site.testSite),
      siteVersion: textOf(site.siteVersion),
      createdAt: timeOf(site.createdAtMs),
    },
  );
  await insertSiteDocument(tx, seed.siteDocument.version, seed.siteDocument.jws, site.createdAtMs);
  for (const key of seed.sealingKeys) await insertSealingKey(tx, key);
  await tx.query(
    `INSERT INTO MPE_FingerprintKeys (FingerprintKeyId, Wrapped, CreatedAt)
     VALUES (@id, @wrapped, @createdAt)`,
    {
      id: guidOf(fingerprintKey.fingerprintKeyId),
      wrapped: wordOf(fingerprintKey.wrapped),
      createdAt: timeOf(fingerprintKey.createdAtMs),
    },
  );
  await insertPolicy(tx, policy);
  for (const token of seed.enrolmentTokens) await insertEnrolmentToken(tx, token);
}
