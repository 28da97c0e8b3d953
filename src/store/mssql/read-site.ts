import { MpeError } from '../../ops/errors.js';
import type { FingerprintKeyRow, SiteRow } from '../site-store.js';
import { flag, guid, text, time } from './columns.js';
import { firstRow, type Session } from './session.js';

/** The site, or null where `site init` was not run. */
export async function readSite(session: Session): Promise<SiteRow | null> {
  const row = firstRow(
    await session.query(
      'SELECT SiteGuid, Name, RootThumbprint, TestSite, SiteVersion, CreatedAt FROM MPE_Site',
    ),
  );
  if (row === undefined) return null;
  return {
    siteGuid: guid(row, 'SiteGuid'),
    name: text(row, 'Name'),
    rootThumbprint: text(row, 'RootThumbprint'),
    testSite: flag(row, 'TestSite'),
    siteVersion: text(row, 'SiteVersion'),
    createdAtMs: time(row, 'CreatedAt'),
  };
}

/**
 * The site's fingerprint key; there is one, for ever.
 *
 * @throws MpeError SITE_MISMATCH where `site init` was not run.
 */
export async function readFingerprintKey(session: Session): Promise<FingerprintKeyRow> {
  const row = firstRow(
    await session.query(
      `SELECT TOP (1) FingerprintKeyId, Wrapped, CreatedAt FROM MPE_FingerprintKeys
       ORDER BY CreatedAt, CONVERT(char(36), FingerprintKeyId)`,
    ),
  );
  if (row === undefined)
    throw new MpeError('SITE_MISMATCH', 'the database holds no site: run `mpe site init`');
  return {
    fingerprintKeyId: guid(row, 'FingerprintKeyId'),
    wrapped: text(row, 'Wrapped'),
    createdAtMs: time(row, 'CreatedAt'),
  };
}
