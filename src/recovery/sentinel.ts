import { createHash, timingSafeEqual } from 'node:crypto';
import { guidFromBytes, guidToBytes, type Guid } from '../protocol/guid.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import { wrapDataKey } from '../secrets/data-key.js';
import type { DataKeyRow } from '../secrets/types.js';

/** `CreatedBy` of the sentinel's row. */
export const SENTINEL_MADE_BY = 'recovery sentinel';

/** A data key whose bytes are known beforehand. */
export interface Sentinel {
  readonly dataKeyId: Guid;
  readonly key: Buffer;
}

/**
 * The sentinel of a certificate: a data key of which everybody knows id and bytes, wrapped like any
 * other and stored beside the others at the first start. It encrypts nothing, and a secret that names
 * it is refused. Opening it proves, whatever else is in the database, that this certificate opens what
 * is wrapped to it and that the database still gives back what was stored: so "the certificate is
 * wrong" and "this one row is damaged" can be told apart.
 *
 * Computed from site and certificate, so that every process means the same row.
 */
export function sentinelOf(siteGuid: Guid, certificateThumbprint: string): Sentinel {
  const hash = (label: string): Buffer =>
    createHash('sha256')
      .update(`mpe recovery sentinel ${label}\0`, 'utf8')
      .update(guidToBytes(siteGuid))
      .update(Buffer.from(certificateThumbprint, 'hex'))
      .digest();
  const id = hash('id').subarray(0, 16);
  // A GUID of version 8 (RFC 9562): made by a rule of its own.
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x80;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return { dataKeyId: guidFromBytes(id), key: hash('key') };
}

/** The row of the sentinel, for `insertDataKey`. */
export async function sentinelRow(
  siteGuid: Guid,
  certificate: CertificatePublic,
  nowMs: number,
): Promise<DataKeyRow> {
  const { dataKeyId, key } = sentinelOf(siteGuid, certificate.thumbprint);
  return {
    dataKeyId,
    certificateThumbprint: certificate.thumbprint,
    wrapped: await wrapDataKey(key, siteGuid, dataKeyId, certificate),
    createdAtMs: nowMs,
    createdBy: SENTINEL_MADE_BY,
  };
}

/** Whether an opened data key is the sentinel's. */
export function isSentinelKey(sentinel: Sentinel, opened: Uint8Array): boolean {
  return opened.length === sentinel.key.length && timingSafeEqual(opened, sentinel.key);
}
