import { MpeError } from '../../ops/errors.js';
import { again } from './again.js';
import { integer, text } from './columns.js';
import type { Connection } from './connection.js';
import { intOf, timeOf, wordOf } from './parameters.js';
import { firstRow, type Session } from './session.js';
import { takeTurn } from './turn.js';

/**
 * The newest site document.
 *
 * @throws MpeError SITE_MISMATCH where `site init` was not run.
 */
export async function readSiteDocument(session: Session): Promise<{ version: number; jws: string }> {
  const row = firstRow(
    await session.query('SELECT TOP (1) Version, Jws FROM MPE_SiteDocuments ORDER BY Version DESC'),
  );
  if (row === undefined)
    throw new MpeError('SITE_MISMATCH', 'the database holds no site: run `mpe site init`');
  return { version: integer(row, 'Version'), jws: text(row, 'Jws') };
}

/**
 * Adds a newer site document. The same version with the same text again is taken silently: the
 * answer to the first attempt may have been lost. Writers take turns, so that "newer" is true of
 * what is committed.
 *
 * @throws MpeError VALUE_INVALID where the version is not above the stored one.
 */
export async function appendSiteDocument(
  connection: Connection,
  version: number,
  jws: string,
  nowMs: number,
): Promise<void> {
  await again('adding a site document', () =>
    connection.transaction(async (tx) => {
      await takeTurn(tx, 'mpe/site-documents');
      const stored = await readSiteDocument(tx);
      if (stored.version === version && stored.jws === jws) return;
      if (version <= stored.version) {
        throw new MpeError(
          'VALUE_INVALID',
          `site document ${version} is not above the stored version ${stored.version}: sign one with version ${stored.version + 1}`,
        );
      }
      await insertSiteDocument(tx, version, jws, nowMs);
    }),
  );
}

/** The plain insert; the caller has the transaction. */
export async function insertSiteDocument(
  tx: Session,
  version: number,
  jws: string,
  nowMs: number,
): Promise<void> {
  await tx.query('INSERT INTO MPE_SiteDocuments (Version, Jws, StoredAt) VALUES (@version, @jws, @at)', {
    version: intOf(version),
    jws: wordOf(jws),
    at: timeOf(nowMs),
  });
}
