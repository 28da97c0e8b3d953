import { MpeError } from '../ops/errors.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { decodeRootChange, encodeRootChange } from '../protocol/root-change.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { publicPart } from './generate-key.js';
import { sign } from './sign.js';
import { thumbprint } from './thumbprint.js';
import { peekKid, verify } from './verify.js';

const TYP = 'mpe-root+jws';

/**
 * The old root's word for the new one. It goes into every later site document, whose signature by
 * the new root is the other half: whoever trusts the old root follows where both verify.
 */
export async function signRootChange(
  siteGuid: SiteDocument['siteGuid'],
  oldRoot: PrivateJwk,
  newRoot: PrivateJwk,
  changedAtMs: number,
): Promise<string> {
  const statement = { siteGuid, from: publicPart(oldRoot), to: publicPart(newRoot), changedAtMs };
  return sign(encodeRootChange(statement), oldRoot, TYP);
}

/**
 * Follows the root changes of a document from a trusted root to the one that the document names.
 * Changes before the trusted root are passed over, so that a client may have missed any number.
 *
 * @param document - as claimed: its own signature is verified by the caller, with its root key
 * @throws Error where the changes do not lead from one to the other
 */
export async function followRootChanges(document: SiteDocument, trustedThumbprint: string): Promise<void> {
  let trusted = trustedThumbprint;
  for (const jws of document.rootChanges ?? []) {
    if (peekKid(jws, TYP) !== trusted) continue;
    // Read before it is verified, for the key alone: its thumbprint decides.
    const claimed = decodeRootChange(Buffer.from(jws.split('.', 2)[1] ?? '', 'base64url'));
    if (thumbprint(claimed.from) !== trusted) throw new Error('a root change by another key than it names');
    const change = decodeRootChange((await verify(jws, TYP, claimed.from)).payload);
    if (change.siteGuid !== document.siteGuid) throw new Error('a root change of another site');
    trusted = thumbprint(change.to);
  }
  if (trusted === document.rootKey.kid) return;
  throw new MpeError(
    'NOT_AUTHENTIC',
    `signed by key ${document.rootKey.kid}, trusted is ${trustedThumbprint}, and no root change leads there`,
  );
}
