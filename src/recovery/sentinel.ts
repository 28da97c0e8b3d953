import { timingSafeEqual } from 'node:crypto';
import type { Guid } from '../protocol/guid.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import { wrapDataKey } from '../secrets/data-key.js';
import { sentinelOf, type Sentinel } from '../secrets/sentinel.js';
import type { DataKeyRow } from '../secrets/types.js';

export { sentinelOf, type Sentinel } from '../secrets/sentinel.js';

/** `CreatedBy` of the sentinel's row. */
export const SENTINEL_MADE_BY = 'recovery sentinel';

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
