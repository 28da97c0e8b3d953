import { join } from 'node:path';
import { systemClock } from '../../src/ops/clock.js';
import { formatRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { readyCases } from '../../src/replay/fixture-folder.js';
import { GatewayTarget } from '../../src/replay/gateway-target.js';
import { replayInProcess } from '../../src/replay/in-process.js';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import type { OrderKind } from '../../src/replay/order.js';
import { planSet, type ReadyCase } from '../../src/replay/plan-set.js';
import { failureLines } from '../../src/replay/replay-report.js';
import { replaySet, type SetResult } from '../../src/replay/replay-set.js';
import { SecretScanner } from '../../src/replay/scan.js';
import { secretsOf } from '../../src/replay/secrets-of.js';
import { FingerprintKey } from '../../src/secrets/fingerprint.js';
import { openStore } from '../../src/store/open-store.js';
import { FIXTURES } from '../../test/support/fixture-engine.js';
import { DemoFailure, must, type DemoContext } from './context.js';

const DISPOSITIONS = ['COMMITTED', 'ALREADY_COMMITTED', 'PARTIAL', 'REJECTED', 'QUARANTINED'] as const;

/** The recorded cases, ready to be sent. */
export class RecordedCases {
  readonly #context: DemoContext;
  readonly #cases: readonly ReadyCase[];
  readonly #scanner: SecretScanner;

  constructor(context: DemoContext) {
    const loaded = loadFixtures(FIXTURES);
    this.#context = context;
    this.#cases = readyCases(FIXTURES, loaded, context.material);
    this.#scanner = new SecretScanner(loaded.map(({ fixture }) => fixture));
  }

  /** Part 3: all cases; those of the standard site over HTTPS into the running engine. */
  async play(): Promise<void> {
    const { screen } = this.#context;
    const live = this.#cases.filter(({ fixture }) => fixture.site === 'standard');
    const others = this.#cases.filter(({ fixture }) => fixture.site !== 'standard');
    const steps = planSet(live, 'source', 1, 'gateway').length + this.#otherSteps(others);
    screen.part(`replay ${this.#cases.length} recorded cases, ${steps} steps`);
    const bar = screen.progress('sent', steps);
    let done = 0;
    const result = await this.#live(live, 'source', 1, 1, (count) => bar.to((done = count)));
    const offset = done;
    let before = 0;
    let lastSite = '';
    const rest = await replayInProcess({
      ...{ cases: others, material: this.#context.material, order: 'source', seed: 1, times: 1 },
      ...{ clock: systemClock(), stores: { kind: 'sqlite', folder: null } as const, scanner: this.#scanner },
      onProgress: (site, count) => {
        if (site !== lastSite) before = done - offset;
        lastSite = site;
        done = offset + before + count;
        bar.to(done);
      },
    });
    bar.to(steps);
    bar.done();
    const sets = [result, ...rest.sets];
    refuseFailures(sets, rest.faults);
    screen.say(this.#counts(sets));
    screen.say(
      `over HTTPS into the running engine: ${live.length} cases; sites of another kind, in this process: ${others.length}`,
    );
    for (const line of examples(this.#cases)) screen.say(line);
    await this.#remember();
  }

  /** Sends the live cases again in another permitted order; returns the site hash after it. */
  async playAgain(seed: number): Promise<{ hash: string; sent: number }> {
    const live = this.#cases.filter(({ fixture }) => fixture.site === 'standard');
    const result = await this.#live(live, 'seed', seed, 2, () => undefined);
    refuseFailures([result], []);
    return { hash: result.siteHash ?? '', sent: result.sent };
  }

  #otherSteps(others: readonly ReadyCase[]): number {
    const sites = new Set(others.map(({ fixture }) => fixture.site));
    return [...sites].reduce((sum, site) => {
      const cases = others.filter(({ fixture }) => fixture.site === site);
      return sum + planSet(cases, 'source', 1, 'in-process').length;
    }, 0);
  }

  async #live(
    cases: readonly ReadyCase[],
    order: OrderKind,
    seed: number,
    pass: number,
    onProgress: (done: number) => void,
  ): Promise<SetResult> {
    const { engine, material } = this.#context;
    const clock = systemClock();
    const target = await GatewayTarget.connect(engine.url, material);
    const store = await openStore({ kind: 'sqlite', path: join(engine.home, 'site.db') }, { clock });
    const { id, key } = material.site.fingerprintKey;
    const fingerprintKey = new FingerprintKey(id, key);
    try {
      return await replaySet({
        ...{ site: 'standard', cases, target, store, fingerprintKey, order, seed, pass, onProgress },
        operator: { store, clock, material, fingerprintKey },
        scanner: this.#scanner,
      });
    } finally {
      await target.close();
      await store.close();
    }
  }

  /** `COMMITTED 131/131 …`: answers of that kind, of those that the cases expect. */
  #counts(sets: readonly SetResult[]): string {
    const got = new Map<string, number>();
    for (const set of sets)
      for (const [word, count] of set.outcomes) got.set(word, (got.get(word) ?? 0) + count);
    const wanted = new Map<string, number>();
    // Where a case leaves a choice (QUEUED or COMMITTED, as the moment wills), either is expected.
    const either = new Map<string, number>();
    for (const { fixture } of this.#cases) {
      const target = fixture.site === 'standard' ? 'gateway' : 'in-process';
      for (const step of fixture.steps) {
        if (step.only !== undefined && step.only !== target) continue;
        const words = expectedWords(step, target);
        const counts = words.length > 1 ? either : wanted;
        for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
      }
    }
    const refused = [...wanted.keys()].filter((word) => word.startsWith('HTTP')).sort();
    return [...DISPOSITIONS, ...refused]
      .map((word) => {
        const [have, least] = [got.get(word) ?? 0, wanted.get(word) ?? 0];
        const most = least + (either.get(word) ?? 0);
        must(have >= least && have <= most, `${word}: ${have} answers, ${least} to ${most} expected`);
        return `${word.replace('_COMMITTED', '')} ${have}/${Math.max(have, least)}`;
      })
      .join('  ');
  }

  /** What the cases stored, for the check at the end. */
  async #remember(): Promise<void> {
    const { engine, recorded } = this.#context;
    for (const { fixture } of this.#cases.filter((one) => one.fixture.site === 'standard'))
      for (const { kind, keyId, volumeId, value } of secretsOf(fixture)) {
        if (keyId === null || volumeId === null || value === null) continue;
        const text = kind === 'RECOVERY_PASSWORD' ? Buffer.from(formatRecoveryPassword(value)) : value;
        recorded.push({ kind, keyId, volumeId, value: text });
      }
    const store = await openStore({ kind: 'sqlite', path: join(engine.home, 'site.db') }, { readOnly: true });
    const { outcomes } = await store.counts();
    await store.close();
    this.#context.recordedOutcomes = outcomes - this.#context.messages.length;
  }
}

/** The dispositions, or the refusal before the queue, that a step allows at a target; none for other steps. */
function expectedWords(
  step: ReadyCase['fixture']['steps'][number],
  target: 'gateway' | 'in-process',
): readonly string[] {
  if (target === 'gateway' && step.http !== undefined && step.http.status >= 300)
    return [`HTTP ${step.http.status}`];
  const disposition: unknown = step.expect?.['disposition'];
  if (typeof disposition === 'string') return [disposition];
  return (disposition as { $oneOf?: string[] } | undefined)?.$oneOf ?? [];
}

function refuseFailures(sets: readonly SetResult[], faults: readonly string[]): void {
  const failed = sets.flatMap((set) => set.cases).filter((one) => one.status === 'failed');
  const lines = [...failed.flatMap(failureLines), ...faults];
  if (lines.length > 0) throw new DemoFailure(`${failed.length} recorded cases failed:\n${lines.join('\n')}`);
}

/** Three cases that people ask about, by their own titles. */
function examples(cases: readonly ReadyCase[]): string[] {
  const title = (name: string): string | null =>
    cases.find(({ fixture }) => fixture.name === name)?.fixture.title ?? null;
  return ['hostile-zip', 'hostile-other-clients-signature', 'quarantine-sealing-key']
    .map(title)
    .filter((text) => text !== null)
    .map((text) => `e.g. ${text}`);
}
