import { MpeError } from '../ops/errors.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { publishSiteDocument, type SiteDocumentChanges } from '../secrets/next-site-document.js';
import { readTruth, type SiteChange } from './open-site.js';
import { differences, documentOf, type Wishes } from './site-truth.js';

/** How long clients take a document without a warning. */
export const DOCUMENT_LIFE_MS = 5 * 365 * 86_400_000;
/** A document that still lives so long need not be renewed for its own sake. */
const FAR_MS = 365 * 86_400_000;
/** Others publish as well: so often the document is made anew from what they left. */
const ATTEMPTS = 5;

/** What {@link publishSite} did. */
export interface Published {
  readonly document: SiteDocument;
  /** What the document says otherwise than the one before; nothing where only its life is renewed. */
  readonly changes: readonly string[];
  readonly published: boolean;
}

/**
 * Makes and signs the next site document from what the database holds, with a new life. Publishes
 * nothing where it would say the same and the old one has a year to go.
 *
 * @param expiresAtMs - instead of five years from now
 * @throws MpeError KEY_FOLDER_INVALID without `root/`; SITE_MISMATCH, NOT_AUTHENTIC; VALUE_INVALID where no
 *   RSA-OAEP-256 key would be offered
 */
export async function publishSite(
  change: SiteChange,
  { expiresAtMs, ...wishes }: Wishes & { readonly expiresAtMs?: number | undefined } = {},
): Promise<Published> {
  const { store, keyFolder, clock } = change;
  const site = { siteGuid: keyFolder.siteGuid, rootKey: keyFolder.rootKey() };
  for (let attempt = 1; ; attempt += 1) {
    const { truth, document: seen } = await readTruth(change);
    const nowMs = clock.now();
    const judged: { changes: readonly string[]; overtaken: boolean } = { changes: [], overtaken: false };
    const result = await publishSiteDocument(store, site, nowMs, (current): SiteDocumentChanges | null => {
      // A document that somebody published meanwhile may name keys that were not there a moment ago.
      judged.overtaken = current.version !== seen.version;
      if (judged.overtaken) return null;
      const next = documentOf(current, truth, wishes);
      // Judged here too: two that retire at once each leave the other's key in their own sight.
      if (next.sealingKeys?.some((key) => key.alg === 'RSA-OAEP-256') !== true)
        throw new MpeError(
          'VALUE_INVALID',
          'no key for RSA-OAEP-256 would be left for clients, and every client needs one: "mpe site-keys rotate" first',
        );
      judged.changes = differences(current, next);
      const renew = expiresAtMs !== undefined || current.expiresAtMs - nowMs < FAR_MS;
      if (judged.changes.length === 0 && !renew) return null;
      return { ...next, expiresAtMs: expiresAtMs ?? nowMs + DOCUMENT_LIFE_MS };
    });
    if (!judged.overtaken) return { ...result, changes: judged.changes };
    if (attempt === ATTEMPTS)
      throw new MpeError('STORE_TRANSIENT', 'others publish site documents all the time: run it again');
  }
}
