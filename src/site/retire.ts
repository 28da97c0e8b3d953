import { MpeError } from '../ops/errors.js';
import { wrapRetiredKey } from '../secrets/archive-key.js';
import { openSealingKey } from '../secrets/site-keys.js';
import { readTruth, type SiteChange } from './open-site.js';
import { publishSite } from './publish.js';

/** What {@link retireSealingKey} came to. */
export interface Retired {
  /** False: it was retired before, nothing was changed. */
  readonly changed: boolean;
  /** Version of the site document without the key. */
  readonly documentVersion: number;
}

/**
 * Takes a sealing key from clients and workers; only the recovery host can bring it back.
 *
 * Steps: archived to the certificate, then no longer offered, then removed from what workers open.
 * Each looks at what is there, so a call that was killed is finished by the same call again.
 *
 * @throws MpeError VALUE_INVALID where there is no such key, or where it is the last one for
 *   RSA-OAEP-256, which every client needs; SITE_MISMATCH on a site without a certificate
 */
export async function retireSealingKey(change: SiteChange, kid: string): Promise<Retired> {
  const { store, keyFolder, clock } = change;
  const { truth, document } = await readTruth(change);
  const row = truth.sealingKeys.find((one) => one.kid === kid);
  if (row === undefined) {
    if (truth.archived.some((one) => one.kid === kid))
      return { changed: false, documentVersion: document.version };
    throw new MpeError('VALUE_INVALID', `the site has no sealing key ${kid}; see mpe site-keys list`);
  }
  const others = document.sealingKeys.filter((key) => key.kid !== kid);
  if (!others.some((key) => key.alg === 'RSA-OAEP-256')) {
    throw new MpeError(
      'VALUE_INVALID',
      `${kid} is the only key for RSA-OAEP-256 that clients are offered, and every client needs one: run ` +
        '"mpe site-keys rotate" first, and retire it once clients have read the new site document',
    );
  }
  const certificate = keyFolder.certificate(document.certificateThumbprint);
  if (certificate === null) {
    throw new MpeError(
      'SITE_MISMATCH',
      'the site has no certificate to which a retired key could be wrapped; without an archive it stays',
    );
  }
  // All that is needed is here before anything is changed.
  const key = await openSealingKey(row, keyFolder.workerSecret());
  keyFolder.rootKey();
  const archived = truth.archived.some(
    (one) => one.kid === kid && one.certificateThumbprint === certificate.thumbprint,
  );
  if (!archived) {
    await store.archiveSealingKey({
      kid,
      certificateThumbprint: certificate.thumbprint,
      alg: row.alg,
      publicJwk: row.publicJwk,
      wrapped: await wrapRetiredKey(key, keyFolder.siteGuid, certificate),
      createdAtMs: row.createdAtMs,
      archivedAtMs: clock.now(),
    });
  }
  const published = await publishSite(change, { withoutKids: new Set([kid]) });
  await store.removeSealingKey(kid);
  return { changed: true, documentVersion: published.document.version };
}
