import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from './guid.js';
import { KEY_ALGORITHMS, type PublicJwk } from './jwk.js';
import { LIMITS } from './vocabulary.js';
import { malformed } from './wire.js';

/** Limits that a client needs before it builds a message. */
export interface SiteLimits {
  readonly envelopeBytes: number;
  readonly volumesPerMessage: number;
  readonly protectorsPerVolume: number;
  readonly keyPackageBytes: number;
  readonly usersPerCheckIn: number;
}

/** The limits of this release. */
export const SITE_LIMITS: SiteLimits = {
  envelopeBytes: LIMITS.envelopeBytes,
  volumesPerMessage: LIMITS.volumesPerMessage,
  protectorsPerVolume: LIMITS.protectorsPerVolume,
  keyPackageBytes: LIMITS.keyPackageBytes,
  usersPerCheckIn: LIMITS.usersPerCheckIn,
};

/** What the site root key signs: all that a client trusts, from one thumbprint. */
export interface SiteDocument {
  readonly siteGuid: Guid;
  readonly name: string;
  /** From 1; a client refuses a lower one than it holds. */
  readonly version: number;
  readonly issuedAtMs: number;
  /** Judged by the last authenticated server time, and only warns. */
  readonly expiresAtMs: number;
  /** ES256. Its thumbprint is what a client pins. */
  readonly rootKey: PublicJwk;
  /** RSA-OAEP-256 or ECDH-ES+A256KW, the preferred one first; RSA-OAEP-256 is always offered. */
  readonly sealingKeys: readonly PublicJwk[];
  /** ES256 keys that sign site tokens. */
  readonly tokenKeys: readonly PublicJwk[];
  /** SHA-256 of the BitLocker management encryption certificate, hex; null where there is none. */
  readonly certificateThumbprint: string | null;
  /** Whether the site may store keys in plain text: only where it never had a certificate. */
  readonly plaintextConsent: boolean;
  /**
   * Clients sign what they send. True, or absent, which means true; a document that says anything
   * else is refused (ADR 0011).
   */
  readonly signingRequired?: true | undefined;
  /** SHA-256 of the DER of the CA that signs the gateways' TLS certificates, hex. */
  readonly gatewayCaThumbprint: string;
  readonly limits: SiteLimits;
  /** Minutes between two check-ins. */
  readonly checkIntervalMinutes: number;
  /**
   * One compact JWS (typ mpe-root+jws) for each change of the root key, oldest first: the old root's
   * word for the new one. With them a client that pinned an earlier root follows.
   */
  readonly rootChanges?: readonly string[] | undefined;
}

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
const thumbprint = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().positive();
const timeMs = z.int();
/** A document with this many still fits its token. */
const MAX_ROOT_CHANGES = 16;

const publicJwk = z.discriminatedUnion('kty', [
  z.object({
    kty: z.literal('RSA'),
    kid: thumbprint,
    alg: z.enum(KEY_ALGORITHMS).extract(['RSA-OAEP-256']),
    n: base64url,
    e: base64url,
  }),
  z.object({
    kty: z.literal('EC'),
    kid: thumbprint,
    alg: z.enum(KEY_ALGORITHMS).extract(['ECDH-ES+A256KW', 'ES256']),
    crv: z.literal('P-256'),
    x: thumbprint,
    y: thumbprint,
  }),
]);

const ofAlg = (...algs: readonly string[]) =>
  publicJwk.refine((key) => algs.includes(key.alg), { error: `must be a key for ${algs.join(' or ')}` });

const schema = z.object({
  siteGuid: z.string().transform((text) => parseGuid(text)),
  name: z.string().min(1).max(256),
  version: count,
  issuedAtMs: timeMs,
  expiresAtMs: timeMs,
  rootKey: ofAlg('ES256'),
  sealingKeys: z
    .array(ofAlg('RSA-OAEP-256', 'ECDH-ES+A256KW'))
    .max(32)
    .refine((keys) => keys.some((key) => key.alg === 'RSA-OAEP-256'), {
      error: 'must offer a key for RSA-OAEP-256',
    }),
  tokenKeys: z.array(ofAlg('ES256')).min(1).max(32),
  certificateThumbprint: sha256Hex.nullable(),
  plaintextConsent: z.boolean(),
  signingRequired: z
    .literal(true, { error: 'must be true: this release takes no unsigned message' })
    .optional(),
  gatewayCaThumbprint: sha256Hex,
  limits: z.object({
    envelopeBytes: count,
    volumesPerMessage: count,
    protectorsPerVolume: count,
    keyPackageBytes: count,
    usersPerCheckIn: count,
  }),
  checkIntervalMinutes: z.int().min(1).max(2880),
  // Absent where the root never changed: such a document is, byte by byte, that of the first release.
  rootChanges: z.array(z.string().max(4096)).max(MAX_ROOT_CHANGES).optional(),
});

/**
 * Writes a site document as JSON with its names in one order, so that the same document gives the
 * same bytes. Private members of a key can not get in: keys are copied member by member.
 *
 * @throws MpeError INTERNAL where the document breaks its own rules.
 */
export function encodeSiteDocument(document: SiteDocument): Buffer {
  // Parsing drops what does not belong in the document and gives every object its schema's order.
  const checked = schema.safeParse(document);
  if (!checked.success) {
    throw new MpeError('INTERNAL', `site document: ${z.prettifyError(checked.error)}`);
  }
  return Buffer.from(JSON.stringify(checked.data), 'utf8');
}

/**
 * Leaves out keys for algorithms that this release does not know, so that a site can offer a new
 * one beside the old without locking older clients and workers out.
 */
function withoutNewerKeys(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  const known = (key: unknown): boolean => {
    const alg: unknown = typeof key === 'object' && key !== null && 'alg' in key ? key.alg : undefined;
    return typeof alg !== 'string' || KEY_ALGORITHMS.some((name) => name === alg);
  };
  const result: Record<string, unknown> = { ...json };
  for (const name of ['sealingKeys', 'tokenKeys']) {
    const keys = result[name];
    if (Array.isArray(keys)) result[name] = keys.filter(known);
  }
  return result;
}

/**
 * Reads a site document. Names that this release does not know, and keys for algorithms that it
 * does not know, are ignored; what it knows is strict.
 * Whether it is authentic is another question: see `verifySiteDocument`.
 *
 * @throws MpeError MALFORMED naming every problem.
 */
export function decodeSiteDocument(bytes: Uint8Array): SiteDocument {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw malformed('site document', 'not JSON', error);
  }
  try {
    const checked = schema.safeParse(withoutNewerKeys(json));
    if (!checked.success) throw malformed('site document', z.prettifyError(checked.error));
    return checked.data;
  } catch (error) {
    if (error instanceof MpeError && error.code === 'MALFORMED') throw error;
    throw malformed('site document', error instanceof Error ? error.message : 'not valid', error);
  }
}
