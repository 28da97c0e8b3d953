import type { Guid } from '../protocol/guid.js';
import type { DataKeyRow } from './types.js';

/**
 * One row a data key out of those for each certificate: the one to open it with.
 *
 * @param preferred - thumbprints, the best one first; a data key that has none of them keeps its first row
 */
export function chooseWraps(
  rows: readonly DataKeyRow[],
  preferred: readonly string[],
): ReadonlyMap<Guid, DataKeyRow> {
  const rank = new Map(preferred.map((thumbprint, place) => [thumbprint, place]));
  const placeOf = (row: DataKeyRow): number => rank.get(row.certificateThumbprint) ?? preferred.length;
  const chosen = new Map<Guid, DataKeyRow>();
  for (const row of rows) {
    const before = chosen.get(row.dataKeyId);
    if (before === undefined || placeOf(row) < placeOf(before)) chosen.set(row.dataKeyId, row);
  }
  return chosen;
}
