import { keeps, type CertificateKeeper } from '../secrets/certificate-keeper.js';
import { chooseWraps } from '../secrets/choose-wraps.js';
import type { Guid } from '../protocol/guid.js';
import { withoutFormerSentinels } from '../secrets/sentinel.js';
import type { DataKeyRow } from '../secrets/types.js';

export { isSentinelRow } from '../secrets/sentinel.js';

/** The site, the certificate that its document names, and what is kept here. */
export interface OwnCertificate {
  readonly siteGuid: Guid;
  /** Thumbprint; null on a site without a certificate. */
  readonly thumbprint: string | null;
  readonly keeper: CertificateKeeper;
}

/**
 * One row a data key: the wrap for the certificate that the site document names where there is one,
 * else one that is kept here. The sentinels of former certificates are left out: they encrypt nothing
 * and go with them.
 */
export function ownRows(
  rows: readonly DataKeyRow[],
  { siteGuid, thumbprint, keeper }: OwnCertificate,
): ReadonlyMap<Guid, DataKeyRow> {
  const current = withoutFormerSentinels(rows, siteGuid, thumbprint);
  const kept = keeper.certificates().map((certificate) => certificate.thumbprint);
  return chooseWraps(current, thumbprint === null ? kept : [thumbprint, ...kept]);
}

/** Whether a data key can be opened here by the name of its certificate. */
export function isKept(keeper: CertificateKeeper, row: DataKeyRow): boolean {
  return keeps(keeper, row.certificateThumbprint);
}
