import { DISPOSITIONS } from '../protocol/vocabulary.js';
import type { Finding } from './scan.js';
import type { CaseResult, SetResult } from './replay-set.js';

/** Everything that a replay found out. */
export interface ReplayReport {
  readonly sets: readonly SetResult[];
  readonly findings: readonly Finding[];
  readonly scannedBytes: number;
  readonly order: string;
  readonly seed: number;
  /** Faults of the set as a whole, such as a hash that differs between two runs. */
  readonly faults: readonly string[];
  /** Cases of other sites, which this run could not take. */
  readonly leftOut: readonly { readonly name: string; readonly note: string }[];
}

/** The cases of all sets. */
export function casesOf(report: ReplayReport): readonly CaseResult[] {
  return report.sets.flatMap((set) => set.cases);
}

/** One failed case: what differs, where. */
export function failureLines(result: CaseResult): readonly string[] {
  const rows = result.rows.length;
  return [
    ...result.mismatches.map(
      (m) => `✗ ${result.name}/${m.step}  ${m.path}   expected ${m.expected}   got ${m.got}`,
    ),
    ...(rows === 0
      ? []
      : [
          ...(result.mismatches.length === 0 ? [`✗ ${result.name}`] : []),
          `  site: ${rows} row${rows === 1 ? '' : 's'} differ${rows === 1 ? 's' : ''}  (- expected, + found)`,
          ...result.rows.map((row) => `    ${row}`),
        ]),
    `  ${result.file}`,
  ];
}

/** Answers by disposition: `COMMITTED 131  PARTIAL 9 …`. */
function countLine(sets: readonly SetResult[]): string {
  const sum = new Map<string, number>();
  for (const set of sets)
    for (const [name, count] of set.outcomes) sum.set(name, (sum.get(name) ?? 0) + count);
  const known: readonly string[] = DISPOSITIONS;
  const names = [
    ...known.filter((name) => sum.has(name)),
    ...[...sum.keys()].filter((n) => !known.includes(n)).sort(),
  ];
  return names.map((name) => `${name} ${String(sum.get(name))}`).join('  ');
}

/** The report as people read it: few lines, the failures first. */
export function reportLines(report: ReplayReport): readonly string[] {
  const cases = casesOf(report);
  const count = (status: CaseResult['status']): number => cases.filter((c) => c.status === status).length;
  const failed = cases.filter((c) => c.status === 'failed');
  const skipped = cases.filter((c) => c.status === 'skipped');
  const tookMs = report.sets.reduce((sum, set) => sum + set.tookMs, 0);
  const sent = report.sets.reduce((sum, set) => sum + set.sent, 0);
  const order = report.order === 'seed' ? `seed ${report.seed}` : `${report.order} order`;
  // A hash that all orders of a site share is said once.
  const hashes = new Set<string>();
  for (const { site, siteHash } of report.sets)
    if (siteHash !== null) hashes.add(`${siteHash}  ${site.split(',')[0] ?? ''}`);
  return [
    ...failed.flatMap(failureLines),
    ...report.faults.map((fault) => `✗ ${fault}`),
    ...report.findings.map((f) => `✗ SECRET FOUND in ${f.where} at byte ${f.offset}: ${f.what}`),
    ...new Set(skipped.map((c) => `- ${c.name} skipped: ${c.note}`)),
    ...(report.leftOut.length === 0
      ? []
      : [
          `- ${report.leftOut.length} cases left out: ${[...new Set(report.leftOut.map((l) => l.note))].join('; ')}`,
        ]),
    `${cases.length} cases  ${count('ok')} ok${failed.length > 0 ? `  ${failed.length} FAILED` : ''}` +
      `${skipped.length > 0 ? `  ${skipped.length} skipped` : ''}  ${sent} sent  ${order}  ${(tookMs / 1000).toFixed(1)} s`,
    countLine(report.sets),
    ...[...hashes].map((line) => `site hash  ${line}`),
    ...(report.findings.length === 0
      ? [`secrets    0 found in ${(report.scannedBytes / 1e6).toFixed(1)} MB of replies, logs and files`]
      : []),
  ];
}

const escape = (text: string): string =>
  text
    // Characters that XML 1.0 cannot hold at all.
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

/** JUnit XML: a suite for each site, a test case for each case, one more for secrets. */
export function junitXml(report: ReplayReport): string {
  const seconds = (ms: number): string => (ms / 1000).toFixed(3);
  const testCase = (c: CaseResult, site: string): string => {
    const open = `    <testcase classname="fixtures.${escape(site)}" name="${escape(c.name)}" time="${seconds(c.tookMs)}"`;
    if (c.status === 'ok') return `${open}/>`;
    const inner =
      c.status === 'skipped'
        ? `<skipped message="${escape(c.note)}"/>`
        : `<failure message="${escape(c.title)}">${escape(failureLines(c).join('\n'))}</failure>`;
    return `${open}>\n      ${inner}\n    </testcase>`;
  };
  const suites = report.sets.map((set) => {
    const failures = set.cases.filter((c) => c.status === 'failed').length;
    const skipped = set.cases.filter((c) => c.status === 'skipped').length;
    return [
      `  <testsuite name="fixtures ${escape(set.site)}" tests="${set.cases.length}" failures="${failures}" skipped="${skipped}" time="${seconds(set.tookMs)}">`,
      ...set.cases.map((c) => testCase(c, set.site)),
      '  </testsuite>',
    ].join('\n');
  });
  const faults = [
    ...report.faults,
    ...report.findings.map((f) => `${f.where} at byte ${f.offset}: ${f.what}`),
  ];
  const whole = [
    `  <testsuite name="fixtures as a whole" tests="1" failures="${faults.length > 0 ? 1 : 0}">`,
    faults.length === 0
      ? '    <testcase classname="fixtures" name="hash and secrets"/>'
      : `    <testcase classname="fixtures" name="hash and secrets"><failure message="faults">${escape(faults.join('\n'))}</failure></testcase>`,
    '  </testsuite>',
  ];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    ...suites,
    ...whole,
    '</testsuites>',
    '',
  ].join('\n');
}

/** The report for machines. */
export function reportJson(report: ReplayReport, exitCode: number): object {
  return {
    format: 1,
    exitCode,
    order: report.order,
    seed: report.seed,
    faults: report.faults,
    secretsFound: report.findings,
    scannedBytes: report.scannedBytes,
    leftOut: report.leftOut,
    sets: report.sets.map((set) => ({
      site: set.site,
      sent: set.sent,
      tookMs: Math.round(set.tookMs),
      siteHash: set.siteHash,
      keysWritten: set.keysWritten,
      outcomes: Object.fromEntries(set.outcomes),
      cases: set.cases.map(({ views: _views, found: _found, ...c }) => ({
        ...c,
        tookMs: Math.round(c.tookMs),
      })),
    })),
  };
}
