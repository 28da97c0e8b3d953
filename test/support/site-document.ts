import { generatePrivateKey, publicPart } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { SITE_LIMITS, type SiteDocument } from '../../src/protocol/site-document.js';

/** A site document with real keys, and the root key that may sign it. */
export async function sampleSiteDocument(
  change: Partial<SiteDocument> = {},
): Promise<{ document: SiteDocument; rootKey: PrivateJwk }> {
  const rootKey = await generatePrivateKey('ES256');
  const document: SiteDocument = {
    siteGuid: newGuid(),
    name: 'Test site Ü',
    version: 3,
    issuedAtMs: Date.UTC(2026, 0, 1),
    expiresAtMs: Date.UTC(2027, 0, 1),
    rootKey: publicPart(rootKey),
    sealingKeys: [
      publicPart(await generatePrivateKey('ECDH-ES+A256KW')),
      publicPart(await generatePrivateKey('RSA-OAEP-256', 2048)),
    ],
    tokenKeys: [publicPart(await generatePrivateKey('ES256'))],
    certificateThumbprint: 'ab'.repeat(32),
    plaintextConsent: false,
    gatewayCaThumbprint: 'cd'.repeat(32),
    limits: SITE_LIMITS,
    checkIntervalMinutes: 90,
    ...change,
  };
  return { document, rootKey };
}
