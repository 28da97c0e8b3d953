import { describe, expect, it } from 'vitest';
import {
  generatePrivateKey,
  publicPart,
  sign,
  signSiteDocument,
  verifySiteDocument,
} from '../../src/jose/index.js';
import { encodeSiteDocument } from '../../src/protocol/site-document.js';
import { sampleSiteDocument } from '../support/site-document.js';
import { headerOf, withPart } from './keys.js';

const { document, rootKey } = await sampleSiteDocument();
const attacker = await generatePrivateKey('ES256');
const jws = await signSiteDocument(document, rootKey);
const notAuthentic = { code: 'NOT_AUTHENTIC' };

describe('a signed site document', () => {
  it('verifies against the thumbprint of its root key', async () => {
    expect(await verifySiteDocument(jws, rootKey.kid)).toEqual(document);
    expect(headerOf(jws)).toEqual({ alg: 'ES256', typ: 'mpe-site+jws', kid: rootKey.kid });
  });

  it('is refused where another root is pinned', async () => {
    await expect(verifySiteDocument(jws, attacker.kid)).rejects.toMatchObject(notAuthentic);
  });

  it('is refused where it was changed', async () => {
    const changed = encodeSiteDocument({ ...document, version: 99 }).toString('base64url');
    await expect(verifySiteDocument(withPart(jws, 1, changed), rootKey.kid)).rejects.toMatchObject(
      notAuthentic,
    );
  });

  it('is refused where another key signed it, whatever kid it claims', async () => {
    const theirs = { ...document, rootKey: publicPart(attacker), sealingKeys: document.sealingKeys };
    const signed = await signSiteDocument(theirs, attacker);
    await expect(verifySiteDocument(signed, rootKey.kid)).rejects.toMatchObject(notAuthentic);
    // The pinned kid in the header over the attacker's document and signature.
    const renamed = withPart(signed, 0, jws.split('.')[0]!);
    await expect(verifySiteDocument(renamed, rootKey.kid)).rejects.toMatchObject(notAuthentic);
    // The real root key in the document, the pinned kid in the header, the attacker's signature.
    const forged = withPart(
      await sign(encodeSiteDocument({ ...document, version: 4 }), attacker, 'mpe-site+jws'),
      0,
      jws.split('.')[0]!,
    );
    await expect(verifySiteDocument(forged, rootKey.kid)).rejects.toMatchObject(notAuthentic);
  });

  it('is refused where its root key only claims the pinned thumbprint', async () => {
    const claimed = { ...document, rootKey: { ...publicPart(attacker), kid: rootKey.kid } };
    const token = await sign(encodeSiteDocument(claimed), attacker, 'mpe-site+jws');
    const renamed = withPart(token, 0, jws.split('.')[0]!);
    await expect(verifySiteDocument(renamed, rootKey.kid)).rejects.toMatchObject(notAuthentic);
  });

  it('is refused where it is a token of another kind by the root key, or no document', async () => {
    const other = await sign(encodeSiteDocument(document), rootKey, 'mpe-msg+jws');
    const empty = await sign(Buffer.from('{}'), rootKey, 'mpe-site+jws');
    for (const bad of [other, empty, '', `${jws}.`]) {
      await expect(verifySiteDocument(bad, rootKey.kid)).rejects.toMatchObject(notAuthentic);
    }
  });

  it('is signed only by the root key that it names', async () => {
    await expect(signSiteDocument(document, attacker)).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });
});
