import { MpeError } from '../../ops/errors.js';
import type { FingerprintKeyRow, SiteRow } from '../site-store.js';
import { flag, guid, integer, text } from './columns.js';
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
