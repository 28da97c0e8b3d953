import type { Guid } from '../protocol/guid.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import type { DataKeyRow } from '../secrets/types.js';
import { isSentinelRow } from './own-rows.js';

/** What a certificate is to its site. */
export type CertificateRole =
  /** The site document names it. */
  | 'current'
  /** It is here to follow: `mpe certificate rotate` changes to it. */
  | 'waiting'
  /** It was current once. */
  | 'former';

/** One certificate of a site, and how far it reaches. */
export interface CertificateState {
  readonly thumbprint: string;
  readonly role: CertificateRole;
  /** Its private key is in this key folder. */
  readonly here: boolean;
  /** Data keys that have a wrap for it. */
  readonly dataKeys: number;
  /** Data keys that have none. */
  readonly missing: number;
  /** Data keys that are wrapped to it alone. */
  readonly only: number;
}

/**
 * The certificates that the site document names, this key folder holds or the database is wrapped to:
 * the current one first, then waiting, then former ones.
 *
 * A former one is told from one that waits by the data keys: the first wrap of each was made for the
 * certificate of its day.
 *
 * @param rows - as `readDataKeys` gives them: the wraps of one data key in the order of their making
 */
export function certificateStates(
  rows: readonly DataKeyRow[],
  siteGuid: Guid,
  current: string | null,
  keeper: CertificateKeeper,
): readonly CertificateState[] {
  const here = new Set(keeper.certificates().map((certificate) => certificate.thumbprint));
  const wraps = new Map<Guid, string[]>();
  const first = new Set<string>();
  for (const row of rows) {
    // A sentinel says that its certificate was current, and is no key of anything.
    if (isSentinelRow(siteGuid, row)) first.add(row.certificateThumbprint);
    else wraps.set(row.dataKeyId, [...(wraps.get(row.dataKeyId) ?? []), row.certificateThumbprint]);
  }
  const [counts, alone] = [new Map<string, number>(), new Map<string, number>()];
  const add = (to: Map<string, number>, key = ''): unknown => to.set(key, (to.get(key) ?? 0) + 1);
  for (const thumbprints of wraps.values()) {
    if (thumbprints[0] !== undefined) first.add(thumbprints[0]);
    for (const thumbprint of thumbprints) add(counts, thumbprint);
    if (thumbprints.length === 1) add(alone, thumbprints[0]);
  }
  const all = new Set([...(current === null ? [] : [current]), ...here, ...counts.keys(), ...first]);
  const roleOf = (thumbprint: string): CertificateRole => {
    if (thumbprint === current) return 'current';
    return first.has(thumbprint) || !here.has(thumbprint) ? 'former' : 'waiting';
  };
  const order: readonly CertificateRole[] = ['current', 'waiting', 'former'];
  return [...all]
    .map((thumbprint) => {
      const dataKeys = counts.get(thumbprint) ?? 0;
      return {
        ...{ thumbprint, role: roleOf(thumbprint), here: here.has(thumbprint), dataKeys },
        missing: wraps.size - dataKeys,
        only: alone.get(thumbprint) ?? 0,
      };
    })
    .sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || (a.thumbprint < b.thumbprint ? -1 : 1));
}
