import { seal } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import { guidToBytes, type Guid } from '../protocol/guid.js';
import { DATA_KEY_BYTES } from './at-rest.js';
import { keeps, type CertificateKeeper } from './certificate-keeper.js';
import type { CertificatePublic } from './certificate.js';
import type { DataKeyRow } from './types.js';

const FORMAT = 1;
const HEAD_BYTES = 1 + 16 + 16;

function head(siteGuid: Guid, dataKeyId: Guid): Buffer {
  return Buffer.concat([Buffer.of(FORMAT), guidToBytes(siteGuid), guidToBytes(dataKeyId)]);
}

/**
 * Wraps a data key to the certificate: JWE, typ `mpe-dk`, around format version (1) ‖ site GUID (16)
 * ‖ data key id (16) ‖ key (32), so that it opens for its own row alone.
 */
export function wrapDataKey(
  key: Uint8Array,
  siteGuid: Guid,
  dataKeyId: Guid,
  certificate: CertificatePublic,
): Promise<string> {
  return seal(Buffer.concat([head(siteGuid, dataKeyId), key]), certificate.publicJwk, 'mpe-dk');
}

/**
 * Opens a wrapped data key with the private key of the certificate that its row names.
 *
 * @throws MpeError SECRET_UNREADABLE; facts.reason is CERTIFICATE_OTHER or DATA_KEY_DAMAGED
 */
export async function unwrapDataKey(
  row: DataKeyRow,
  siteGuid: Guid,
  keeper: CertificateKeeper,
): Promise<Buffer> {
  if (!keeps(keeper, row.certificateThumbprint)) {
    const kept = keeper.certificates().map((certificate) => certificate.thumbprint);
    throw new MpeError(
      'SECRET_UNREADABLE',
      `data key ${row.dataKeyId} is wrapped to the certificate ${row.certificateThumbprint}; the key folder ` +
        `holds ${kept.length === 0 ? 'none' : kept.join(', ')}. Put the key of that certificate in place.`,
      { facts: { reason: 'CERTIFICATE_OTHER', dataKeyId: row.dataKeyId } },
    );
  }
  const damaged = (why: string, cause?: unknown): MpeError =>
    new MpeError('SECRET_UNREADABLE', `data key ${row.dataKeyId} does not open: ${why}`, {
      cause,
      facts: { reason: 'DATA_KEY_DAMAGED', dataKeyId: row.dataKeyId },
    });
  let payload: Buffer;
  try {
    payload = await keeper.open(row.wrapped, row.certificateThumbprint);
  } catch (error) {
    throw damaged('its wrapped form is damaged or belongs to another key', error);
  }
  const expected = head(siteGuid, row.dataKeyId);
  if (payload.length !== HEAD_BYTES + DATA_KEY_BYTES || !payload.subarray(0, HEAD_BYTES).equals(expected)) {
    throw damaged('its wrapped form was made for another site or row');
  }
  return payload.subarray(HEAD_BYTES);
}
