import type { Command } from 'commander';
import { stringify } from 'csv-stringify/sync';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { CoverageId } from '../recovery/coverage/definitions.js';
import type { CoverageReport } from '../recovery/coverage/report.js';
import type { PolicyRow, SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

interface Flags {
  readonly json: boolean;
  readonly csv: boolean;
  readonly machines?: string;
}

/** `mpe report coverage`. */
export function register(program: Command): void {
  group(program, 'report', 'Reports')
    .command('coverage')
    .description('of all machines, how many can be recovered, and what is wrong with the others')
    .option('--json', 'print JSON', false)
    .option('--csv', 'print CSV', false)
    .option('--machines <line>', 'list the machines of a line, e.g. encrypted-without-key')
    .action(coverage);
}

async function coverage(flags: Flags): Promise<void> {
  if (flags.json && flags.csv) throw new MpeError('USAGE', 'give --json or --csv, not both');
  const config = loadConfig();
  const { coverageReport } = await import('../recovery/coverage/report.js');
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const nowMs = clockOf(config, site.testSite).now();
      if (flags.machines !== undefined) {
        await machines(store, flags.machines, nowMs, flags);
        return;
      }
      const report = await coverageReport(store, nowMs);
      if (flags.json) printJson({ ...report, at: time(report.atMs) });
      else if (flags.csv) process.stdout.write(csvOf(report));
      else print(...lines(report), ...(await ringLines(store)));
    },
    { readOnly: true },
  );
}

async function machines(store: SiteStore, line: string, nowMs: number, flags: Flags): Promise<void> {
  const { COVERAGE, COVERAGE_IDS } = await import('../recovery/coverage/definitions.js');
  const { devicesOf } = await import('../recovery/coverage/devices-of.js');
  const { deviceName } = await import('../recovery/coverage/report.js');
  const id = COVERAGE_IDS.find((one) => one === line);
  if (id === undefined) throw new MpeError('USAGE', `--machines must be one of ${COVERAGE_IDS.join(', ')}`);
  const { devices } = devicesOf(await store.policy.coverage(nowMs), await store.readPolicies());
  const found = devices.filter(COVERAGE[id]);
  const rows = found.map((device) => {
    const at = device.client?.checkedInAtMs ?? null;
    return {
      machine: deviceName(device),
      clientId: device.client?.clientId ?? '',
      lastCheckIn: at === null ? '' : time(at),
    };
  });
  if (flags.json) printJson(rows);
  else if (flags.csv) process.stdout.write(stringify(rows, { header: true, escape_formulas: true }));
  else print(...rows.map((row) => [row.machine, row.clientId, row.lastCheckIn].join('  ').trimEnd()));
}

const number = (value: number): string => value.toLocaleString('en-US');

function share(report: CoverageReport, value: number): string {
  const of = report.denominator.machines;
  return of === 0 ? '' : ` (${((value * 100) / of).toFixed(1)} %)`;
}

const MANAGERS = { MBAM: 'MBAM', GROUP_POLICY: 'GPO', INTUNE: 'Intune' } as const;

function lines(report: CoverageReport): readonly string[] {
  const count = (id: CoverageId): number => report.lines.find((line) => line.id === id)?.machines ?? 0;
  const { machines: all, imported } = report.denominator;
  const managers = (Object.keys(MANAGERS) as (keyof typeof MANAGERS)[])
    .filter((manager) => report.managers[manager] > 0)
    .map((manager) => `${MANAGERS[manager]} ${number(report.managers[manager])}`);
  return [
    `${number(all)} devices   recoverable ${number(count('recoverable'))}${share(report, count('recoverable'))}    as of ${time(report.atMs)}`,
    `  never contacted ${number(count('never-contacted'))}   encrypted without key ${number(count('encrypted-without-key'))}   not encrypted ${number(count('not-encrypted'))}`,
    `  cannot escrow ${number(count('cannot-escrow'))}   conflict ${number(count('conflict'))}${managers.length === 0 ? '' : ` (${managers.join(', ')})`}   cloned ${number(count('cloned'))}`,
    `  exposed ${number(count('exposed'))}   overdue rotation ${number(count('overdue-rotation'))}   damaged ${number(count('damaged'))}`,
    ...(imported
      ? report.unlisted === 0
        ? []
        : [`  ${number(report.unlisted)} registered clients are not in the imported list and not counted`]
      : ['  registered clients are counted: nothing was imported → mpe devices import']),
  ];
}

/** A line for each ring that is paused. */
async function ringLines(store: SiteStore): Promise<readonly string[]> {
  const deployed = (await store.readPolicies()).filter((policy) => policy.state === 'DEPLOYED');
  if (!deployed.some((policy) => policy.rings.some((ring) => ring.state === 'PAUSED'))) return [];
  const counts = await store.policy.ringCounts();
  const of = (policy: PolicyRow, position: number): number =>
    counts.find((one) => one.policyId === policy.policyId && one.position === position)?.machines ?? 0;
  return deployed.flatMap((policy) =>
    policy.rings
      .filter((ring) => ring.state === 'PAUSED')
      .map(
        (ring) =>
          `ring ${ring.position} (${number(of(policy, ring.position))}) paused ${ring.pausedAtMs === null ? '' : time(ring.pausedAtMs)}: ${ring.pauseReason}  → mpe rings show ${ring.position}`,
      ),
  );
}

function csvOf(report: CoverageReport): string {
  const { machines: all } = report.denominator;
  const rows = report.lines.map(({ id, label, machines: count }) => ({
    ...{ id, label, machines: count, of: all },
    percent: all === 0 ? '' : ((count * 100) / all).toFixed(2),
    at: time(report.atMs),
  }));
  return stringify(rows, { header: true });
}
