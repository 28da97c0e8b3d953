import { OTHER_MANAGERS, type OtherManager } from '../../protocol/vocabulary.js';
import type { CoverageFacts } from '../../store/policy-store.js';
import type { PolicyRow, SiteStore } from '../../store/site-store.js';
import {
  COVERAGE,
  COVERAGE_IDS,
  COVERAGE_LABELS,
  type CoverageDevice,
  type CoverageId,
} from './definitions.js';
import { devicesOf } from './devices-of.js';

/** A line of the report. */
export interface CoverageCount {
  readonly id: CoverageId;
  readonly label: string;
  readonly machines: number;
  /** `DOMAIN\NAME` of the first hundred. */
  readonly examples: readonly string[];
}

/** Coverage of a site at a moment. */
export interface CoverageReport {
  readonly atMs: number;
  readonly denominator: {
    readonly machines: number;
    /** false: registered clients are counted, for nothing was imported. */
    readonly imported: boolean;
  };
  /** Clients that are in no line because the inventory does not name them. */
  readonly unlisted: number;
  readonly lines: readonly CoverageCount[];
  /** Of the conflicts, how many each other manager has. */
  readonly managers: Readonly<Record<OtherManager, number>>;
}

/** Names that a line gives at most. */
const EXAMPLES = 100;

/** A machine as people name it. */
export const deviceName = ({ domain, name }: CoverageDevice): string =>
  domain === '' ? name : `${domain}\\${name}`;

/** Counts the report from facts; pure. */
export function coverageOf(
  facts: CoverageFacts,
  policies: readonly PolicyRow[],
  atMs: number,
): CoverageReport {
  const { devices, imported, unlisted } = devicesOf(facts, policies);
  const lines = COVERAGE_IDS.map((id) => {
    const machines = devices.filter(COVERAGE[id]);
    return {
      id,
      label: COVERAGE_LABELS[id],
      machines: machines.length,
      examples: machines.slice(0, EXAMPLES).map(deviceName),
    };
  });
  const managers = Object.fromEntries(
    OTHER_MANAGERS.map((manager) => [
      manager,
      devices.filter(({ client }) => client?.otherManagers.includes(manager) === true).length,
    ]),
  ) as Record<OtherManager, number>;
  return { atMs, denominator: { machines: devices.length, imported }, unlisted, lines, managers };
}

/** Reads and counts coverage. */
export async function coverageReport(store: SiteStore, atMs: number): Promise<CoverageReport> {
  return coverageOf(await store.policy.coverage(atMs), await store.readPolicies(), atMs);
}

/** The number of a line. */
export function machinesOf(report: CoverageReport, id: CoverageId): number {
  return report.lines.find((line) => line.id === id)?.machines ?? 0;
}
