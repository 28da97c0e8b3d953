import { isMpeError } from '../ops/errors.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import { siteHash } from '../store/site-hash.js';
import type { SiteStore } from '../store/site-store.js';
import { clientIdOf } from './build-case.js';
import { expectedLines, inScope, lineText, RowNames, scopeOf, whereIs } from './case-rows.js';
import { shown, mismatches, type Mismatch } from './match.js';
import type { OperatorContext } from './operator.js';
import type { OrderKind } from './order.js';
import { planSet, type ReadyCase } from './plan-set.js';
import type { ReplyView } from './reply-view.js';
import { runStep } from './run-step.js';
import type { SecretScanner } from './scan.js';
import type { ReplayTarget } from './target.js';

/** What became of one case. */
export interface CaseResult {
  readonly name: string;
  readonly file: string;
  readonly title: string;
  readonly status: 'ok' | 'failed' | 'skipped';
  /** Why it was skipped; '' else. */
  readonly note: string;
  /** Messages and registrations that were sent. */
  readonly sent: number;
  readonly tookMs: number;
  readonly mismatches: readonly (Mismatch & { readonly step: string })[];
  /** Rows that differ: `- expected` and `+ found`, readable. */
  readonly rows: readonly string[];
  /** The rows that are there, for --update. */
  readonly found: readonly string[];
  /** Answers by step, as fixtures write them; for --update. */
  readonly views: ReadonlyMap<string, ReplyView>;
}

/** What became of a set. */
export interface SetResult {
  readonly site: string;
  readonly cases: readonly CaseResult[];
  /** Answers by disposition, status or HTTP status. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly sent: number;
  readonly tookMs: number;
  /** null where there is no store at hand. */
  readonly siteHash: string | null;
  readonly keysWritten: number | null;
  /** Rows of the site that belong to no case of the set. */
  readonly stray: readonly string[];
}

/** What a set is run with. */
export interface SetOptions {
  readonly site: string;
  readonly cases: readonly ReadyCase[];
  readonly target: ReplayTarget;
  /** null: answers are compared, rows are not. */
  readonly store: SiteStore | null;
  readonly operator: OperatorContext | null;
  readonly fingerprintKey: FingerprintKey;
  readonly order: OrderKind;
  readonly seed: number;
  readonly pass: number;
  readonly scanner: SecretScanner;
  readonly onProgress: (done: number, total: number) => void;
}

class Tally {
  readonly mismatches: (Mismatch & { readonly step: string })[] = [];
  readonly views = new Map<string, ReplyView>();
  rows: readonly string[] = [];
  found: readonly string[] = [];
  sent = 0;
  tookMs = 0;
}

/** Why a case cannot run against a target; '' where it can. */
function skipNote(ready: ReadyCase, options: SetOptions): string {
  const needsStore = ready.fixture.steps.some((step) => step.operator !== undefined);
  if (needsStore && options.operator === null) return 'needs the site database (--store)';
  const runs = ready.fixture.steps.some(
    (step) => step.only === undefined || step.only === options.target.kind,
  );
  return runs ? '' : `has no step for a replay ${options.target.kind}`;
}

/** Sends every step of a set in one permitted order, then compares the rows of each case. */
export async function replaySet(options: SetOptions): Promise<SetResult> {
  const { target, store, pass } = options;
  const startedAt = performance.now();
  const before = target.keysWritten();
  const notes = new Map(options.cases.map((ready) => [ready, skipNote(ready, options)]));
  const running = options.cases.filter((ready) => notes.get(ready) === '');
  const tallies = new Map(running.map((ready) => [ready, new Tally()]));
  const outcomes = new Map<string, number>();
  const plan = planSet(running, options.order, options.seed, target.kind);
  let done = 0;
  for (const planned of plan) {
    const tally = tallies.get(planned.ready);
    if (tally === undefined) continue;
    const stepStartedAt = performance.now();
    const result = await runStep(planned, { ...options, pass });
    tally.tookMs += performance.now() - stepStartedAt;
    tally.mismatches.push(...result.mismatches.map((m) => ({ ...m, step: planned.step.id })));
    if (result.view !== null) tally.views.set(planned.step.id, result.view);
    if (result.outcome !== null) {
      tally.sent += 1;
      outcomes.set(result.outcome, (outcomes.get(result.outcome) ?? 0) + 1);
    }
    done += 1;
    options.onProgress(done, plan.length);
  }
  const stray = store === null ? [] : await compareRows(store, tallies, options);
  const after = target.keysWritten();
  return {
    site: options.site,
    cases: options.cases.map((ready) => resultOf(ready, tallies.get(ready), notes.get(ready) ?? '')),
    outcomes,
    sent: [...tallies.values()].reduce((sum, tally) => sum + tally.sent, 0),
    tookMs: performance.now() - startedAt,
    stray,
    siteHash: store === null ? null : await siteHash(store),
    keysWritten: before === null || after === null ? null : after - before,
  };
}

function resultOf(ready: ReadyCase, tally: Tally | undefined, note: string): CaseResult {
  const { name, title } = ready.fixture;
  const failed = tally !== undefined && (tally.mismatches.length > 0 || tally.rows.length > 0);
  return {
    ...{ name, title, note, file: ready.file },
    status: tally === undefined ? 'skipped' : failed ? 'failed' : 'ok',
    sent: tally?.sent ?? 0,
    tookMs: tally?.tookMs ?? 0,
    mismatches: tally?.mismatches ?? [],
    rows: tally?.rows ?? [],
    found: tally?.found ?? [],
    views: tally?.views ?? new Map(),
  };
}

/**
 * Compares what the site database holds of each case, in one pass over its lines.
 *
 * @returns the lines that belong to none of them
 */
async function compareRows(
  store: SiteStore,
  tallies: ReadonlyMap<ReadyCase, Tally>,
  options: SetOptions,
): Promise<readonly string[]> {
  const cases = [...tallies].map(([ready, tally]) => {
    const { fixture, built } = ready;
    return { ready, tally, scope: scopeOf(fixture), found: [] as string[], built };
  });
  const stray: string[] = [];
  for await (const line of store.hashLines()) {
    const owners = cases.filter(({ scope }) => inScope(line, scope));
    for (const { found } of owners) found.push(lineText(line));
    if (owners.length === 0) stray.push(lineText(line));
  }
  for (const { ready, tally, found } of cases) {
    const { fixture, built } = ready;
    const names = new RowNames(fixture, built, options.fingerprintKey);
    const wanted = new Set(expectedLines(fixture, built, options.fingerprintKey));
    const there = new Set(found);
    tally.found = found;
    tally.rows = [
      ...[...wanted].filter((line) => !there.has(line)).map((line) => `- ${names.readable(line)}`),
      ...[...there].filter((line) => !wanted.has(line)).map((line) => `+ ${names.readable(line)}`),
    ].sort((a, b) => a.slice(2).localeCompare(b.slice(2)));
    tally.mismatches.push(
      ...(await compareMessages(store, ready, options)),
      ...(await compareFlags(store, ready)),
    );
  }
  return stray;
}

async function compareMessages(
  store: SiteStore,
  { fixture, built }: ReadyCase,
  options: SetOptions,
): Promise<readonly (Mismatch & { readonly step: string })[]> {
  const found: (Mismatch & { readonly step: string })[] = [];
  for (const [id, expected] of Object.entries(fixture.rows.messages)) {
    const step = fixture.steps.find((s) => s.id === id);
    const message = built.steps[id];
    if (message?.kind !== 'message') continue;
    if (step?.only !== undefined && step.only !== options.target.kind) continue;
    const got = await whereIs(store, message.clientId, message.messageId);
    const refused = options.target.kind === 'gateway' && (step?.http?.status ?? 0) >= 300;
    const wanted = refused ? 'nothing' : expected;
    if (got !== wanted) found.push({ step: id, path: 'rows.messages', expected: wanted, got });
  }
  return found;
}

async function compareFlags(
  store: SiteStore,
  { fixture }: ReadyCase,
): Promise<readonly (Mismatch & { readonly step: string })[]> {
  const found: (Mismatch & { readonly step: string })[] = [];
  for (const client of Object.keys(fixture.clients)) {
    const row = await store.findClient(clientIdOf(fixture, client));
    const got = [...new Set(row?.flags.map((f) => f.flag) ?? [])].sort();
    const expected = [...(fixture.rows.flags[client] ?? [])].sort();
    if (mismatches('flags', expected, got).length > 0)
      found.push({ step: client, path: 'rows.flags', expected: shown(expected), got: shown(got) });
  }
  return found;
}

/** Whether an error means that the other side could not be reached. */
export function isUnreachable(error: unknown): boolean {
  return (
    isMpeError(error, 'UNREACHABLE') ||
    isMpeError(error, 'STORE_TRANSIENT') ||
    isMpeError(error, 'QUEUE_UNAVAILABLE')
  );
}
