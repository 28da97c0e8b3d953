import { createHash } from 'node:crypto';
import { publicPart, sign, wrapSecret } from '../jose/index.js';
import { formatEnrolmentToken } from '../protocol/enrolment-token.js';
import type { Guid } from '../protocol/guid.js';
import { encodeSiteDocument, SITE_LIMITS, type SiteDocument } from '../protocol/site-document.js';
import { gatewayNames } from './gateway-names.js';
import { makeSiteMaterial, type SiteMaterial } from './site-material.js';
import { assertNoKeyFolder, writeKeyFolder } from './write-key-folder.js';
import { certificateThumbprint } from './certificate-file.js';

const DAY_MS = 86_400_000;

/** How long clients take a site document without a warning. */
const DOCUMENT_LIFE_MS = 5 * 365 * DAY_MS;
/** The newest behaviour of the original that this release mirrors. */
export const CURRENT_SITE_VERSION = '2309';
/** Default checking frequency of a policy. */
const CHECK_INTERVAL_MINUTES = 90;
/** The first enrolment token: enough for a first rollout, short enough to be forgotten. */
const FIRST_TOKEN = { uses: 1_000, lifeMs: 30 * DAY_MS, tag: 'first' } as const;

/** What `mpe site init` decides. */
export interface CreateSiteOptions {
  readonly name: string;
  readonly keysDir: string;
  /** More names of the gateways, beside localhost and this host. */
  readonly hostnames: readonly string[];
  /** Allows `MPE_TEST_*`; can never be taken back. */
  readonly testSite: boolean;
  /** A site without a certificate that stores keys in plain text. */
  readonly plaintextConsent?: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Fixed keys, for fixtures. */
  readonly material?: Partial<SiteMaterial>;
}

/** What the store gets; the shape of its `SiteSeed`. */
export interface SiteSeedLike {
  readonly site: {
    readonly siteGuid: Guid;
    readonly name: string;
    readonly rootThumbprint: string;
    readonly testSite: boolean;
    readonly siteVersion: string;
    readonly createdAtMs: number;
  };
  readonly siteDocument: { readonly version: number; readonly jws: string };
  readonly sealingKeys: readonly {
    readonly kid: string;
    readonly alg: 'RSA-OAEP-256' | 'ECDH-ES+A256KW';
    readonly publicJwk: string;
    readonly wrappedPrivate: string;
    readonly state: 'ACTIVE';
    readonly createdAtMs: number;
  }[];
  readonly fingerprintKey: {
    readonly fingerprintKeyId: Guid;
    readonly wrapped: string;
    readonly createdAtMs: number;
  };
  readonly policy: {
    readonly policyId: Guid;
    readonly name: string;
    readonly mode: 'ESCROW';
    readonly targetTag: null;
    readonly storePackages: boolean;
    readonly removableDrives: boolean;
    readonly tpmOwnerAuth: boolean;
    readonly checkIntervalMinutes: number;
    readonly createdAtMs: number;
    readonly state: 'DEPLOYED';
    readonly mbamMigration: boolean;
    readonly rotateBesideOthers: boolean;
    readonly revision: number;
    readonly deployedAtMs: number;
    readonly retiredAtMs: null;
    readonly rings: readonly [];
  };
  readonly enrolmentTokens: readonly {
    readonly tokenId: Guid;
    readonly secretHash: Uint8Array;
    readonly usesAllowed: number;
    readonly usesLeft: number;
    readonly expiresAtMs: number;
    readonly tag: string;
    readonly revokedAtMs: null;
    readonly createdAtMs: number;
  }[];
}

/** A new site. */
export interface CreatedSite {
  readonly seed: SiteSeedLike;
  readonly document: SiteDocument;
  /** Text form, to be shown once. */
  readonly enrolmentToken: string;
}

/**
 * Makes a site: its keys, written to the key folder, and what its database starts with. The caller
 * stores the seed; where that fails, the key folder is of no use and may be removed.
 *
 * @throws MpeError KEY_FOLDER_INVALID where the folder is not empty, USAGE on a bad host name
 */
export async function createSite(options: CreateSiteOptions): Promise<CreatedSite> {
  assertNoKeyFolder(options.keysDir);
  const nowMs = options.now;
  const plaintextConsent = options.plaintextConsent ?? false;
  const material = await makeSiteMaterial({
    gatewayNames: gatewayNames(options.hostnames),
    withCertificate: !plaintextConsent,
    nowMs,
    ...(options.material === undefined ? {} : { given: options.material }),
  });
  const document: SiteDocument = {
    siteGuid: material.siteGuid,
    name: options.name,
    version: 1,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + DOCUMENT_LIFE_MS,
    rootKey: publicPart(material.rootKey),
    sealingKeys: material.sealingKeys.map((key) => publicPart(key)),
    tokenKeys: [publicPart(material.tokenKey)],
    certificateThumbprint:
      material.certificate === null ? null : certificateThumbprint(material.certificate.certificatePem),
    plaintextConsent,
    signingRequired: true,
    gatewayCaThumbprint: certificateThumbprint(material.tls.caPem),
    limits: SITE_LIMITS,
    checkIntervalMinutes: CHECK_INTERVAL_MINUTES,
  };
  const seed = await seedOf(options, material, document);
  writeKeyFolder(options.keysDir, material, nowMs);
  const enrolmentToken = formatEnrolmentToken({
    siteGuid: material.siteGuid,
    rootThumbprint: material.rootKey.kid,
    secret: material.enrolmentToken.secret,
  });
  return { seed, document, enrolmentToken };
}

async function seedOf(
  options: CreateSiteOptions,
  material: SiteMaterial,
  document: SiteDocument,
): Promise<SiteSeedLike> {
  const createdAtMs = options.now;
  const { workerSecret, fingerprintKey, enrolmentToken } = material;
  return {
    site: {
      siteGuid: material.siteGuid,
      name: options.name,
      rootThumbprint: material.rootKey.kid,
      testSite: options.testSite,
      siteVersion: CURRENT_SITE_VERSION,
      createdAtMs,
    },
    siteDocument: {
      version: document.version,
      jws: await sign(encodeSiteDocument(document), material.rootKey, 'mpe-site+jws'),
    },
    sealingKeys: await Promise.all(
      material.sealingKeys.map(async (key) => ({
        kid: key.kid,
        alg: key.alg === 'RSA-OAEP-256' ? ('RSA-OAEP-256' as const) : ('ECDH-ES+A256KW' as const),
        publicJwk: JSON.stringify(publicPart(key)),
        wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key), 'utf8'), workerSecret),
        state: 'ACTIVE' as const,
        createdAtMs,
      })),
    ),
    fingerprintKey: {
      fingerprintKeyId: fingerprintKey.id,
      wrapped: await wrapSecret(fingerprintKey.key, workerSecret),
      createdAtMs,
    },
    policy: {
      policyId: material.policyId,
      name: 'Default',
      mode: 'ESCROW',
      targetTag: null,
      storePackages: true,
      removableDrives: true,
      tpmOwnerAuth: true,
      checkIntervalMinutes: document.checkIntervalMinutes,
      createdAtMs,
      state: 'DEPLOYED',
      mbamMigration: false,
      rotateBesideOthers: false,
      revision: 1,
      deployedAtMs: createdAtMs,
      retiredAtMs: null,
      rings: [],
    },
    enrolmentTokens: [
      {
        tokenId: enrolmentToken.id,
        secretHash: createHash('sha256').update(enrolmentToken.secret).digest(),
        usesAllowed: FIRST_TOKEN.uses,
        usesLeft: FIRST_TOKEN.uses,
        expiresAtMs: createdAtMs + FIRST_TOKEN.lifeMs,
        tag: FIRST_TOKEN.tag,
        revokedAtMs: null,
        createdAtMs,
      },
    ],
  };
}
