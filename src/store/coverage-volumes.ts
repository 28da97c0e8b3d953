import type { Guid } from '../protocol/guid.js';
import {
  PROTECTION_STATES,
  VOLUME_TYPES,
  type ProtectionState,
  type VolumeType,
} from '../protocol/vocabulary.js';
import type { CoverageVolume } from './policy-store.js';

/**
 * What the site has of a present key: its volume has no key at all; the client never sent this one, or
 * only what no stored copy opens; a copy can be read. Numbered as the statements number them.
 */
export const COVERAGE_COPIES = ['NO_KEY', 'NOT_SENT', 'DAMAGED', 'READABLE'] as const;
export type CoverageCopy = (typeof COVERAGE_COPIES)[number];

/** One present key of a reported volume, or a volume without any. */
export interface CoverageKey {
  readonly clientId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly protection: ProtectionState;
  readonly reportedAtMs: number;
  readonly copy: CoverageCopy;
  readonly exposed: boolean;
  readonly overdue: boolean;
}

/** What {@link coverageKey} takes besides numbers of words. */
export const COVERAGE_BITS = { protection: 4, copy: 16, exposed: 64, overdue: 128 } as const;

/**
 * A key of a row. The statements give its small numbers as one, by {@link COVERAGE_BITS}, the volume's type
 * lowest: of the time that hundreds of thousands of rows take, half goes into columns.
 */
export function coverageKey(
  clientId: Guid,
  volumeId: Guid,
  reportedAtMs: number,
  facts: number,
): CoverageKey {
  const { protection, copy, exposed, overdue } = COVERAGE_BITS;
  return {
    clientId,
    volumeId,
    volumeType: VOLUME_TYPES[facts % protection] ?? 'UNKNOWN',
    protection: PROTECTION_STATES[Math.trunc(facts / protection) % 4] ?? 'UNREPORTED',
    reportedAtMs,
    copy: COVERAGE_COPIES[Math.trunc(facts / copy) % 4] ?? 'NO_KEY',
    exposed: (facts & exposed) !== 0,
    overdue: (facts & overdue) !== 0,
  };
}

/** A volume that is still counted. */
export type Counted = { -readonly [K in keyof CoverageVolume]: CoverageVolume[K] };

/**
 * Adds rows of keys, those of a volume side by side, to the volumes of the rows before them. What a client has not sent says nothing of it.
 *
 * Hundreds of thousands of rows: the objects are written out, for those made by spreading others are
 * several times slower to make and to read.
 */
export function addVolumes(volumes: Counted[], rows: Iterable<CoverageKey>): void {
  for (const row of rows) {
    let last = volumes.at(-1);
    if (last?.volumeId !== row.volumeId || last.clientId !== row.clientId) {
      last = {
        clientId: row.clientId,
        volumeId: row.volumeId,
        volumeType: row.volumeType,
        protection: row.protection,
        reportedAtMs: row.reportedAtMs,
        keys: 0,
        readable: 0,
        damaged: 0,
        exposed: 0,
        overdue: 0,
      };
      volumes.push(last);
    }
    if (row.copy === 'NO_KEY') continue;
    last.keys += 1;
    if (row.copy === 'READABLE') last.readable += 1;
    if (row.copy === 'DAMAGED') last.damaged += 1;
    if (row.exposed) last.exposed += 1;
    if (row.overdue && row.copy !== 'NOT_SENT') last.overdue += 1;
  }
}
