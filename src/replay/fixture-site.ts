import type { RegistrationSettings } from '../config/index.js';
import { publicPart, sign, wrapSecret } from '../jose/index.js';
import { encodeSiteDocument } from '../protocol/site-document.js';
import { createSite } from '../secrets/create-site.js';
import type { PolicyRow, SealingKeyRow, SiteSeed } from '../store/site-store.js';
import type { FixtureMaterial } from './material.js';
import type { SiteVariant } from './site-variants.js';

/** How a variant's policy differs from the default one. */
const POLICIES: Readonly<Partial<Record<SiteVariant, Partial<PolicyRow>>>> = {
  observe: { mode: 'OBSERVE' },
  'no-removable': { removableDrives: false },
  'no-tpm': { tpmOwnerAuth: false },
  'password-only': { storePackages: false },
};

/** A site of which fixtures know what to expect, written to `keysDir`; its seed is for the store. */
export async function makeFixtureSite(
  variant: SiteVariant,
  material: FixtureMaterial,
  keysDir: string,
  nowMs: number,
): Promise<SiteSeed> {
  const noCertificate = variant === 'plain-text' || variant === 'no-consent';
  const { seed, document } = await createSite({
    name: `fixtures ${variant}`,
    keysDir,
    hostnames: [],
    testSite: true,
    plaintextConsent: noCertificate,
    now: nowMs,
    material: material.site,
  });
  // No command makes a site without certificate and without consent; a site could come to it by a
  // document that takes the consent back.
  const siteDocument =
    variant === 'no-consent'
      ? {
          version: document.version,
          jws: await sign(
            encodeSiteDocument({ ...document, plaintextConsent: false }),
            material.site.rootKey,
            'mpe-site+jws',
          ),
        }
      : seed.siteDocument;
  return {
    ...seed,
    site: variant === 'version-2010' ? { ...seed.site, siteVersion: '2010' } : seed.site,
    siteDocument,
    policy: { ...seed.policy, ...POLICIES[variant] },
    // The set registers more clients than a first rollout does.
    enrolmentTokens: seed.enrolmentTokens.map((token) => ({
      ...token,
      usesAllowed: 1_000_000,
      usesLeft: 1_000_000,
    })),
  };
}

/** Messages that a variant keeps in quarantine at most. */
export function quarantineMaxOf(variant: SiteVariant): number {
  return variant === 'quarantine-full' ? 0 : 100_000;
}

/** What registers a client on a variant where that is not the default. */
export function registrationOf(variant: SiteVariant): RegistrationSettings | null {
  if (variant === 'approval') return { ways: ['token', 'approval'], pendingMax: 100_000 };
  return variant === 'approval-full' ? { ways: ['token', 'approval'], pendingMax: 1 } : null;
}

/** The row that gives the site the key `future`. */
export async function futureKeyRow(material: FixtureMaterial, nowMs: number): Promise<SealingKeyRow> {
  const key = material.sealing.future;
  return {
    kid: key.kid,
    alg: 'ECDH-ES+A256KW',
    publicJwk: JSON.stringify(publicPart(key)),
    wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key)), material.site.workerSecret),
    state: 'ACTIVE',
    createdAtMs: nowMs,
  };
}
