import type { Guid } from '../protocol/guid.js';
import type { ProtectionState, VolumeType } from '../protocol/vocabulary.js';
import type { CoverageVolume } from './policy-store.js';

/** One present key of a reported volume, or a volume without any. */
export interface CoverageKey {
  readonly clientId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly protection: ProtectionState;
  readonly reportedAtMs: number;
  /** false: the volume has no key, and what follows is false. */
  readonly key: boolean;
  readonly proven: boolean;
  readonly readable: boolean;
  readonly exposed: boolean;
  readonly overdue: boolean;
}

/** Rows of keys, those of a volume side by side, as volumes. What a client has not sent says nothing of it. */
export function volumesOf(rows: Iterable<CoverageKey>): CoverageVolume[] {
  const volumes: { -readonly [K in keyof CoverageVolume]: CoverageVolume[K] }[] = [];
  for (const row of rows) {
    const { clientId, volumeId, volumeType, protection, reportedAtMs } = row;
    let last = volumes.at(-1);
    if (last?.clientId !== clientId || last.volumeId !== volumeId) {
      last = {
        ...{ clientId, volumeId, volumeType, protection, reportedAtMs },
        ...{ keys: 0, readable: 0, damaged: 0, exposed: 0, overdue: 0 },
      };
      volumes.push(last);
    }
    if (!row.key) continue;
    last.keys += 1;
    if (row.readable) last.readable += 1;
    if (row.proven && !row.readable) last.damaged += 1;
    if (row.exposed) last.exposed += 1;
    if (row.overdue && row.proven) last.overdue += 1;
  }
  return volumes;
}
