import { OTHER_MANAGERS, type OtherManager } from '../../protocol/vocabulary.js';
import type { CoverageFacts } from '../../store/policy-store.js';
import type { PolicyRow, SiteStore } from '../../store/site-store.js';
import { atOnce, inPieces } from '../breather.js';
import {
  COVERAGE,
  COVERAGE_IDS,
  COVERAGE_LABELS,
  type CoverageDevice,
  type CoverageId,
} from './definitions.js';
import { findDevices } from './devices-of.js';

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
/** Devices of a piece of work, some milliseconds. */
const PIECE = 1000;

/** A machine as people name it. */
export const deviceName = ({ domain, name }: CoverageDevice): string =>
  domain === '' ? name : `${domain}\\${name}`;

/** Counts the report from facts; pure. */
export function coverageOf(
  facts: CoverageFacts,
  policies: readonly PolicyRow[],
  atMs: number,
): CoverageReport {
  return atOnce(countCoverage(facts, policies, atMs));
}

/** As {@link coverageOf}, in small pieces: a site has tens of thousands of machines. */
function* countCoverage(
  facts: CoverageFacts,
  policies: readonly PolicyRow[],
  atMs: number,
): Generator<void, CoverageReport> {
  const { devices, imported, unlisted } = yield* findDevices(facts, policies);
  const lines = COVERAGE_IDS.map((id) => ({
    ...{ id, label: COVERAGE_LABELS[id], machines: 0, examples: [] as string[] },
  }));
  const managers = Object.fromEntries(OTHER_MANAGERS.map((manager) => [manager, 0])) as Record<
    OtherManager,
    number
  >;
  for (const [n, device] of devices.entries()) {
    if (n % PIECE === PIECE - 1) yield;
    for (const line of lines) {
      if (!COVERAGE[line.id](device)) continue;
      line.machines += 1;
      if (line.examples.length < EXAMPLES) line.examples.push(deviceName(device));
    }
    for (const manager of new Set(device.client?.otherManagers)) managers[manager] += 1;
  }
  return { atMs, denominator: { machines: devices.length, imported }, unlisted, lines, managers };
}

/** Reads and counts coverage. */
export async function coverageReport(store: SiteStore, atMs: number): Promise<CoverageReport> {
  const facts = await store.policy.coverage(atMs);
  return inPieces(countCoverage(facts, await store.readPolicies(), atMs));
}

/** The number of a line. */
export function machinesOf(report: CoverageReport, id: CoverageId): number {
  return report.lines.find((line) => line.id === id)?.machines ?? 0;
}
