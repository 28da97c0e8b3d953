import { publicPart, seal, thumbprint } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { guidToBytes, type Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { CertificatePublic } from './certificate.js';

/** First byte of what is wrapped; a data key begins with 1, so neither is taken for the other. */
const FORMAT = 2;
const HEAD_BYTES = 1 + 16;

/** An archived sealing key, as far as opening it needs. */
export interface ArchivedKeyLike {
  readonly kid: string;
  readonly alg: string;
  readonly certificateThumbprint: string;
  readonly wrapped: string;
}

/** Opens a JWE (typ mpe-dk) that is wrapped to a certificate. */
export type OpenWrapped = (token: string, thumbprint: string) => Promise<Buffer>;

function head(siteGuid: Guid): Buffer {
  return Buffer.concat([Buffer.of(FORMAT), guidToBytes(siteGuid)]);
}

/** Wraps a retired sealing key to the certificate: format (1) ‖ site GUID (16) ‖ private JWK as JSON. */
export function wrapRetiredKey(
  key: PrivateJwk,
  siteGuid: Guid,
  certificate: CertificatePublic,
): Promise<string> {
  const payload = Buffer.concat([head(siteGuid), Buffer.from(JSON.stringify(key), 'utf8')]);
  return seal(payload, certificate.publicJwk, 'mpe-dk').finally(() => payload.fill(0));
}

/**
 * Opens what {@link wrapRetiredKey} made.
 *
 * @throws MpeError SECRET_UNREADABLE where it does not open, or is not the key that its row names
 */
export async function unwrapRetiredKey(
  row: ArchivedKeyLike,
  siteGuid: Guid,
  openWrapped: OpenWrapped,
): Promise<PrivateJwk> {
  const refuse = (why: string, cause?: unknown): MpeError =>
    new MpeError('SECRET_UNREADABLE', `the archived sealing key ${row.kid} ${why}`, { cause });
  let payload: Buffer;
  try {
    payload = await openWrapped(row.wrapped, row.certificateThumbprint);
  } catch (error) {
    if (isMpeError(error, 'CANNOT_OPEN') || isMpeError(error, 'KID_UNKNOWN'))
      throw refuse('does not open with its certificate: it is damaged', error);
    throw error;
  }
  if (!payload.subarray(0, HEAD_BYTES).equals(head(siteGuid))) throw refuse('was archived by another site');
  let key: PrivateJwk;
  try {
    key = JSON.parse(payload.subarray(HEAD_BYTES).toString('utf8')) as PrivateJwk;
  } catch {
    throw refuse('holds no key');
  } finally {
    payload.fill(0);
  }
  if (key.kid !== row.kid || key.alg !== row.alg || thumbprint(publicPart(key)) !== row.kid)
    throw refuse('holds another key than its row names');
  return key;
}
