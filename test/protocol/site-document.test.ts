import { describe, expect, it } from 'vitest';
import { decodeSiteDocument, encodeSiteDocument } from '../../src/protocol/site-document.js';
import { sampleSiteDocument } from '../support/site-document.js';

describe('site document', async () => {
  const { document, rootKey } = await sampleSiteDocument();
  const json = (change: object): Buffer =>
    Buffer.from(
      JSON.stringify({ ...(JSON.parse(encodeSiteDocument(document).toString()) as object), ...change }),
    );

  it('goes to bytes and back', () => {
    expect(decodeSiteDocument(encodeSiteDocument(document))).toEqual(document);
  });

  it('gives the same bytes whatever the order of its names', () => {
    const shuffled = Object.fromEntries(Object.entries(document).reverse()) as unknown as typeof document;
    expect(encodeSiteDocument(shuffled).equals(encodeSiteDocument(document))).toBe(true);
  });

  it('never takes a private member of a key with it', () => {
    const leaky = { ...document, rootKey, tokenKeys: [rootKey] };
    expect(encodeSiteDocument(leaky).toString()).not.toContain(rootKey.d);
    expect(encodeSiteDocument(leaky).toString()).not.toContain('"d"');
  });

  it('ignores names that it does not know', () => {
    expect(decodeSiteDocument(json({ later: { a: 1 } }))).toEqual(document);
  });

  it('leaves out keys for algorithms that it does not know', () => {
    const newer = { kty: 'AKP', kid: 'a', alg: 'ML-KEM-768', pub: 'AA' };
    const offered = json({
      sealingKeys: [newer, ...document.sealingKeys],
      tokenKeys: [...document.tokenKeys, newer],
    });
    expect(decodeSiteDocument(offered)).toEqual(document);
  });

  it.each([
    ['no site', { siteGuid: undefined }],
    ['an all-zero site', { siteGuid: '00000000-0000-0000-0000-000000000000' }],
    ['version 0', { version: 0 }],
    ['a fractional version', { version: 1.5 }],
    ['no root key', { rootKey: null }],
    ['a sealing key as root key', { rootKey: document.sealingKeys[0] }],
    ['no sealing key', { sealingKeys: [] }],
    ['no RSA sealing key', { sealingKeys: document.sealingKeys.filter((key) => key.kty === 'EC') }],
    ['a signing key as sealing key', { sealingKeys: [...document.sealingKeys, document.rootKey] }],
    ['no token key', { tokenKeys: [] }],
    ['a thumbprint of another form', { certificateThumbprint: 'AB'.repeat(32) }],
    ['no thumbprint of the gateways CA', { gatewayCaThumbprint: null }],
    ['consent as text', { plaintextConsent: 'yes' }],
    ['an interval of 0 minutes', { checkIntervalMinutes: 0 }],
    ['an interval of two days and more', { checkIntervalMinutes: 2881 }],
    ['a limit missing', { limits: {} }],
  ])('refuses %s', (_, change) => {
    expect(() => decodeSiteDocument(json(change))).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  it.each([Buffer.from(''), Buffer.from('null'), Buffer.from('[]'), Buffer.from([0xff, 0xfe])])(
    'refuses bytes that are no document',
    (bytes) => {
      expect(() => decodeSiteDocument(bytes)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    },
  );

  it('may have no certificate', () => {
    expect(decodeSiteDocument(json({ certificateThumbprint: null })).certificateThumbprint).toBeNull();
  });

  it('does not let a broken document out', () => {
    expect(() => encodeSiteDocument({ ...document, version: 0 })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
  });
});
