import { MpeError } from '../../ops/errors.js';
import type { FingerprintKeyRow, PolicyRow, SiteRow } from '../site-store.js';
import { flag, guid, integer, text, textOrNull, time, word } from './columns.js';
import { firstRow, firstSet, type Session } from './session.js';

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

/** All policies, oldest first. */
export async function readPolicies(session: Session): Promise<PolicyRow[]> {
  const sets = await session.query(
    `SELECT PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives, TpmOwnerAuth,
       CheckIntervalMinutes, CreatedAt
     FROM MPE_Policies ORDER BY CreatedAt, CONVERT(char(36), PolicyId)`,
  );
  return firstSet(sets).map((row) => ({
    policyId: guid(row, 'PolicyId'),
    name: text(row, 'Name'),
    mode: word(row, 'Mode', ['OBSERVE', 'ESCROW', 'MANAGE'] as const),
    targetTag: textOrNull(row, 'TargetTag'),
    storePackages: flag(row, 'StorePackages'),
    removableDrives: flag(row, 'RemovableDrives'),
    tpmOwnerAuth: flag(row, 'TpmOwnerAuth'),
    checkIntervalMinutes: integer(row, 'CheckIntervalMinutes'),
    createdAtMs: time(row, 'CreatedAt'),
  }));
}
