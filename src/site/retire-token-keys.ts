import { MAX_TOKEN_LIFETIME_SECONDS } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import { readTokenKeyTime } from '../secrets/key-files.js';
import { publishSiteDocument } from '../secrets/next-site-document.js';
import { readTruth, type SiteChange } from './open-site.js';

/** What {@link retireTokenKeys} came to. */
export interface TokenKeysRetired {
  /** Kids that the site document names no more; none where it named the present one alone. */
  readonly retired: readonly string[];
  readonly documentVersion: number;
}

/**
 * Takes every token key but the present one out of the site document: tokens that they signed are refused
 * from then on. One step, so there is nothing to be finished after a kill.
 *
 * @param now - although tokens of former keys may live: for a key that others may know
 * @throws MpeError KEY_FOLDER_INVALID without `gateway/` and `root/`; VALUE_INVALID where the present key
 *   signs for less than eight hours, or the document does not name it
 */
export async function retireTokenKeys(
  change: SiteChange,
  { now }: { readonly now: boolean },
): Promise<TokenKeysRetired> {
  const { store, keyFolder, clock } = change;
  const { path, siteGuid } = keyFolder;
  const rootKey = keyFolder.rootKey();
  const present = keyFolder.tokenKey();
  const { document } = await readTruth(change);
  const former = document.tokenKeys.filter((key) => key.kid !== present.kid).map((key) => key.kid);
  if (former.length === document.tokenKeys.length)
    throw new MpeError(
      'VALUE_INVALID',
      `the site document does not name the token key of this folder (${present.kid}): copy gateway/ from the folder ` +
        'in which the last one was made',
    );
  if (former.length === 0) return { retired: [], documentVersion: document.version };
  const endsMs = (readTokenKeyTime(path) ?? 0) + MAX_TOKEN_LIFETIME_SECONDS * 1000;
  if (!now && clock.now() < endsMs)
    throw new MpeError(
      'VALUE_INVALID',
      `tokens of the former key live until ${new Date(endsMs).toISOString()}, longer where a gateway got the new key ` +
        'later: run this again then. Where others may know the former key: --now, and clients get new tokens at once',
    );
  const published = await publishSiteDocument(store, { siteGuid, rootKey }, clock.now(), (current) => {
    const tokenKeys = current.tokenKeys.filter((key) => !former.includes(key.kid));
    return tokenKeys.length === current.tokenKeys.length ? null : { tokenKeys };
  });
  return { retired: former, documentVersion: published.document.version };
}
