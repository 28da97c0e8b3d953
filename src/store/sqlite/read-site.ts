import { MpeError } from '../../ops/errors.js';
import type { FingerprintKeyRow, PolicyRow, SiteRow } from '../site-store.js';
import { flag, guid, integer, text, textOrNull, word } from './columns.js';
import type { Connection } from './connection.js';

/** The site, or null where `site init` was not run. */
export function readSite(c: Connection): SiteRow | null {
  const row = c.get('SELECT * FROM MPE_Site');
  if (row === undefined) return null;
  return {
    siteGuid: guid(row, 'SiteGuid'),
    name: text(row, 'Name'),
    rootThumbprint: text(row, 'RootThumbprint'),
    testSite: flag(row, 'TestSite'),
    siteVersion: text(row, 'SiteVersion'),
    createdAtMs: integer(row, 'CreatedAt'),
  };
}

/**
 * The site's fingerprint key; there is one, for ever.
 *
 * @throws MpeError SITE_MISMATCH where `site init` was not run.
 */
export function readFingerprintKey(c: Connection): FingerprintKeyRow {
  const row = c.get('SELECT * FROM MPE_FingerprintKeys ORDER BY CreatedAt, FingerprintKeyId LIMIT 1');
  if (row === undefined)
    throw new MpeError('SITE_MISMATCH', 'the database holds no site: run `mpe site init`');
  return {
    fingerprintKeyId: guid(row, 'FingerprintKeyId'),
    wrapped: text(row, 'Wrapped'),
    createdAtMs: integer(row, 'CreatedAt'),
  };
}

/** All policies, oldest first. */
export function readPolicies(c: Connection): PolicyRow[] {
  return c.all('SELECT * FROM MPE_Policies ORDER BY CreatedAt, PolicyId').map((row) => ({
    policyId: guid(row, 'PolicyId'),
    name: text(row, 'Name'),
    mode: word(row, 'Mode', ['OBSERVE', 'ESCROW', 'MANAGE'] as const),
    targetTag: textOrNull(row, 'TargetTag'),
    storePackages: flag(row, 'StorePackages'),
    removableDrives: flag(row, 'RemovableDrives'),
    tpmOwnerAuth: flag(row, 'TpmOwnerAuth'),
    checkIntervalMinutes: integer(row, 'CheckIntervalMinutes'),
    createdAtMs: integer(row, 'CreatedAt'),
  }));
}
