import { MpeError } from '../../ops/errors.js';
import { integer, text } from './columns.js';
import type { Connection } from './connection.js';

/**
 * The newest site document.
 *
 * @throws MpeError SITE_MISMATCH where `site init` was not run.
 */
export function readSiteDocument(c: Connection): { version: number; jws: string } {
  const row = c.get('SELECT Version, Jws FROM MPE_SiteDocuments ORDER BY Version DESC LIMIT 1');
  if (row === undefined)
    throw new MpeError('SITE_MISMATCH', 'the database holds no site: run `mpe site init`');
  return { version: integer(row, 'Version'), jws: text(row, 'Jws') };
}

/**
 * Adds a newer site document. The same version with the same text again is taken silently: the
 * answer to the first attempt may have been lost.
 *
 * @throws MpeError VALUE_INVALID where the version is not above the stored one.
 */
export function appendSiteDocument(c: Connection, version: number, jws: string, nowMs: number): void {
  c.immediate(() => {
    const stored = readSiteDocument(c);
    if (stored.version === version && stored.jws === jws) return;
    if (version <= stored.version) {
      throw new MpeError(
        'VALUE_INVALID',
        `site document ${version} is not above the stored version ${stored.version}: sign one with version ${stored.version + 1}`,
      );
    }
    insertSiteDocument(c, version, jws, nowMs);
  });
}

/** The plain insert; the caller has the transaction. */
export function insertSiteDocument(c: Connection, version: number, jws: string, nowMs: number): void {
  c.run('INSERT INTO MPE_SiteDocuments (Version, Jws, StoredAt) VALUES (?, ?, ?)', version, jws, nowMs);
}
