import type { SealingKeyRow } from '../store/site-store.js';
import { readTruth, type SiteChange } from './open-site.js';

/** A sealing key as an operator sees it. */
export interface ListedKey {
  readonly kid: string;
  readonly alg: SealingKeyRow['alg'];
  /**
   * offered: clients seal to it; unpublished: no document names it yet, workers open it;
   * restored: back from the archive, workers open it and clients are not offered it;
   * retired: in the archive alone.
   */
  readonly state: 'offered' | 'unpublished' | 'restored' | 'retired';
  /** Its place in the document's order of preference, from 1; null where it is not in it. */
  readonly place: number | null;
  readonly createdAtMs: number;
  readonly archivedAtMs: number | null;
  /** Certificates that open its archived copies. */
  readonly archivedTo: readonly string[];
}

/** Every sealing key that the site has or had, the offered ones first. */
export async function listSealingKeys(
  change: SiteChange,
): Promise<{ readonly keys: readonly ListedKey[]; readonly version: number; readonly expiresAtMs: number }> {
  const { truth, document } = await readTruth(change);
  const places = new Map(document.sealingKeys.map((key, n) => [key.kid, n + 1]));
  const archive = new Map<string, (typeof truth.archived)[number][]>();
  for (const row of truth.archived) archive.set(row.kid, [...(archive.get(row.kid) ?? []), row]);
  const active = new Set(truth.sealingKeys.map((row) => row.kid));
  const gone = [...archive.values()].flatMap(([row]) =>
    row === undefined || active.has(row.kid) ? [] : [row],
  );
  const keys = [...truth.sealingKeys, ...gone].map(({ kid, alg, createdAtMs }): ListedKey => {
    const copies = archive.get(kid) ?? [];
    const place = places.get(kid) ?? null;
    const here = copies.length > 0 ? 'restored' : 'unpublished';
    return {
      ...{ kid, alg, createdAtMs, place },
      state: !active.has(kid) ? 'retired' : place === null ? here : 'offered',
      archivedAtMs: copies.length === 0 ? null : Math.min(...copies.map((row) => row.archivedAtMs)),
      archivedTo: copies.map((row) => row.certificateThumbprint),
    };
  });
  const order = (key: ListedKey): number => key.place ?? (key.state === 'retired' ? 1000 : 100);
  return {
    keys: keys.sort((a, b) => order(a) - order(b) || b.createdAtMs - a.createdAtMs),
    version: document.version,
    expiresAtMs: document.expiresAtMs,
  };
}
