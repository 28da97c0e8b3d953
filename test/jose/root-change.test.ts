import { beforeAll, describe, expect, it } from 'vitest';
import {
  generatePrivateKey,
  publicPart,
  signRootChange,
  signSiteDocument,
  verifySiteDocument,
} from '../../src/jose/index.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import type { SiteDocument } from '../../src/protocol/site-document.js';
import { newGuid } from '../../src/protocol/guid.js';
import { testSite } from '../secrets/site.js';

let document: SiteDocument;
let roots: readonly [PrivateJwk, PrivateJwk, PrivateJwk];
let changes: readonly [string, string];

beforeAll(async () => {
  ({ document } = await testSite());
  roots = [
    await generatePrivateKey('ES256'),
    await generatePrivateKey('ES256'),
    await generatePrivateKey('ES256'),
  ];
  changes = [
    await signRootChange(document.siteGuid, roots[0], roots[1], 1),
    await signRootChange(document.siteGuid, roots[1], roots[2], 2),
  ];
});

const signed = (root: PrivateJwk, rootChanges?: readonly string[]): Promise<string> =>
  signSiteDocument({ ...document, rootKey: publicPart(root), rootChanges }, root);

describe('a root change', () => {
  it('leads every earlier root to the newest, however many changes a client missed', async () => {
    const jws = await signed(roots[2], changes);
    for (const root of roots)
      expect((await verifySiteDocument(jws, root.kid)).rootKey.kid).toBe(roots[2].kid);
  });

  it('leads nobody back to an old root', async () => {
    const old = await signed(roots[0]);
    await expect(verifySiteDocument(old, roots[1].kid)).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
    const withChanges = await signed(roots[0], changes);
    await expect(verifySiteDocument(withChanges, roots[1].kid)).rejects.toMatchObject({
      code: 'NOT_AUTHENTIC',
    });
  });

  it('needs the signature of the old root, of this site, in order, and that of the new one', async () => {
    const [first, second, third] = roots;
    const stranger = await generatePrivateKey('ES256');
    const foreign = await signRootChange(newGuid(), first, second, 1);
    const forged = await signRootChange(document.siteGuid, { ...stranger, kid: first.kid }, second, 1).catch(
      () => changes[0],
    );
    const [head, , signature] = changes[0].split('.');
    const other = (await signRootChange(document.siteGuid, first, stranger, 1)).split('.')[1];
    const refused = [
      await signed(second),
      await signed(second, []),
      await signed(second, [foreign]),
      await signed(stranger, changes),
      await signed(stranger, [`${head}.${other}.${signature}`]),
      await signed(third, [changes[1]]),
      await signed(third, [changes[1], changes[0]]),
      ...(forged === changes[0] ? [] : [await signed(second, [forged])]),
    ];
    for (const jws of refused)
      await expect(verifySiteDocument(jws, first.kid)).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
    // The new root's document, signed by another key.
    const stolen = await signSiteDocument(
      { ...document, rootKey: publicPart(second), rootChanges: changes },
      {
        ...stranger,
        kid: second.kid,
      },
    ).catch(() => 'x');
    await expect(verifySiteDocument(stolen, first.kid)).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
  });

  it('leaves a document without one byte for byte as before', async () => {
    const payload = (jws: string): string =>
      Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8');
    expect(payload(await signed(roots[0]))).not.toContain('rootChanges');
  });
});
