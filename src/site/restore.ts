import { open, OpeningKeys, wrapSecret } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import { unwrapRetiredKey, type OpenWrapped } from '../secrets/archive-key.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { readTruth, type SiteChange } from './open-site.js';
import { publishSite, type Published } from './publish.js';

/** What {@link restoreSealingKey} came to. */
export interface Restored {
  /** False: workers had it already. */
  readonly changed: boolean;
  readonly published: Published | null;
}

/**
 * Brings a retired sealing key back: workers open what was sealed to it, and what waits for it in
 * quarantine is processed. Clients are not offered it, unless `publish` says so.
 *
 * @throws MpeError VALUE_INVALID where it is not in the archive; KEY_FOLDER_INVALID without `worker/`
 *   and `recovery/` (and `root/` to publish); SECRET_UNREADABLE where the archive does not open
 */
export async function restoreSealingKey(
  change: SiteChange,
  kid: string,
  options: { readonly publish: boolean },
): Promise<Restored> {
  const { store, keyFolder } = change;
  if (options.publish) keyFolder.rootKey();
  const { truth, document } = await readTruth(change);
  const there = truth.sealingKeys.some((row) => row.kid === kid);
  if (!there) {
    const rows = truth.archived.filter((row) => row.kid === kid);
    const row = rows.find((one) => one.certificateThumbprint === document.certificateThumbprint) ?? rows[0];
    if (row === undefined)
      throw new MpeError('VALUE_INVALID', `the archive has no sealing key ${kid}; see mpe site-keys list`);
    const secret = keyFolder.workerSecret();
    const key = await unwrapRetiredKey(row, keyFolder.siteGuid, opener(keyFolder));
    await store.addSealingKey({
      kid,
      alg: row.alg,
      publicJwk: row.publicJwk,
      wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key), 'utf8'), secret),
      state: 'ACTIVE',
      createdAtMs: row.createdAtMs,
    });
  }
  const published = options.publish ? await publishSite(change, { withKids: new Set([kid]) }) : null;
  return { changed: !there, published };
}

function opener(keyFolder: KeyFolder): OpenWrapped {
  return async (token, thumbprint) => {
    const certificate = keyFolder.certificateKey(thumbprint);
    if (certificate === null) throw new MpeError('SITE_MISMATCH', 'the site has no certificate');
    return (await open(token, 'mpe-dk', await OpeningKeys.from([certificate.privateJwk]))).payload;
  };
}
