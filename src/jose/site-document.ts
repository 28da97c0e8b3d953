import { MpeError } from '../ops/errors.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { decodeSiteDocument, encodeSiteDocument, type SiteDocument } from '../protocol/site-document.js';
import { followRootChanges } from './root-change.js';
import { sign } from './sign.js';
import { thumbprint } from './thumbprint.js';
import { peekKid, verify } from './verify.js';

const TYP = 'mpe-site+jws';

/**
 * Signs a site document with the site root key.
 *
 * @throws MpeError VALUE_INVALID where the document names another root key.
 */
export async function signSiteDocument(document: SiteDocument, rootKey: PrivateJwk): Promise<string> {
  if (document.rootKey.kid !== rootKey.kid) {
    throw new MpeError('VALUE_INVALID', 'the site document names another root key');
  }
  return sign(encodeSiteDocument(document), rootKey, TYP);
}

/**
 * Verifies a site document against the one thing that is trusted from before: the thumbprint of the
 * site root key. The root key inside the document must have signed it, and must be the trusted one,
 * or the one to which the trusted one handed the site over (`rootChanges`). Whoever keeps the
 * document then trusts `document.rootKey.kid`. Version and expiry are for the caller to judge.
 *
 * @param rootThumbprint - as pinned at enrolment or since, or from the key folder
 * @throws MpeError NOT_AUTHENTIC where any of this fails, `cause` saying what.
 */
export async function verifySiteDocument(jws: string, rootThumbprint: string): Promise<SiteDocument> {
  try {
    const kid = peekKid(jws, TYP);
    // Read before it is verified, for the key alone: its thumbprint decides whether to go on.
    const claimed = decodeSiteDocument(Buffer.from(jws.split('.', 2)[1] ?? '', 'base64url'));
    if (claimed.rootKey.kid !== kid || thumbprint(claimed.rootKey) !== kid) {
      throw new Error('the root key in the document is not the one that signed it');
    }
    await followRootChanges(claimed, rootThumbprint);
    const { payload } = await verify(jws, TYP, claimed.rootKey);
    return decodeSiteDocument(payload);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'not readable';
    throw new MpeError('NOT_AUTHENTIC', `the site document is not authentic: ${why}`, { cause: error });
  }
}
