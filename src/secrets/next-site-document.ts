import { signSiteDocument, verifySiteDocument } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { SiteDocument } from '../protocol/site-document.js';

/** What a change may touch; version, times and root are not the caller's to choose. */
export type SiteDocumentChanges = Partial<
  Omit<SiteDocument, 'siteGuid' | 'version' | 'issuedAtMs' | 'rootKey'>
>;

/** A signed document that follows another one. */
export interface NextSiteDocument {
  readonly document: SiteDocument;
  readonly jws: string;
}

/** The part of a site's database that publishing needs. */
export interface DocumentStore {
  readSiteDocument(): Promise<{ readonly version: number; readonly jws: string }>;
  appendSiteDocument(version: number, jws: string): Promise<void>;
}

/** Others publish as well: so often the change is made anew on what they published. */
const ATTEMPTS = 5;

/** Makes the document that follows `current`: its version plus one, the changes, the same life. */
export async function nextSiteDocument(
  current: SiteDocument,
  changes: SiteDocumentChanges,
  rootKey: PrivateJwk,
  nowMs: number,
): Promise<NextSiteDocument> {
  const document: SiteDocument = {
    ...current,
    expiresAtMs: nowMs + (current.expiresAtMs - current.issuedAtMs),
    ...changes,
    version: current.version + 1,
    issuedAtMs: nowMs,
  };
  return { document, jws: await signSiteDocument(document, rootKey) };
}

/**
 * Publishes a changed site document: reads the newest, verifies it, applies the change, signs, appends;
 * again where somebody else published in between.
 *
 * @param change - returns null where nothing is to be changed (any more)
 * @returns the document that the site has now, and whether this call published it
 * @throws MpeError NOT_AUTHENTIC, SITE_MISMATCH, VALUE_INVALID
 */
export async function publishSiteDocument(
  store: DocumentStore,
  site: { readonly siteGuid: Guid; readonly rootKey: PrivateJwk },
  nowMs: number,
  change: (current: SiteDocument) => SiteDocumentChanges | null,
): Promise<{ readonly document: SiteDocument; readonly published: boolean }> {
  for (let attempt = 1; ; attempt += 1) {
    const stored = await store.readSiteDocument();
    const current = await verifySiteDocument(stored.jws, site.rootKey.kid);
    if (current.siteGuid !== site.siteGuid) {
      throw new MpeError(
        'SITE_MISMATCH',
        `the site document is of site ${current.siteGuid}, not ${site.siteGuid}`,
      );
    }
    const changes = change(current);
    if (changes === null) return { document: current, published: false };
    const next = await nextSiteDocument(current, changes, site.rootKey, nowMs);
    try {
      await store.appendSiteDocument(next.document.version, next.jws);
      return { document: next.document, published: true };
    } catch (error) {
      const overtaken =
        isMpeError(error, 'VALUE_INVALID') && (await store.readSiteDocument()).version !== stored.version;
      if (!overtaken || attempt === ATTEMPTS) throw error;
    }
  }
}
