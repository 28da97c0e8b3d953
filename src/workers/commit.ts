import type { MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import { commitGroup, type GroupResult, type Planner } from '../store/commit/commit-group.js';
import { isDataKeyMissing } from '../store/data-key-missing.js';
import type { Classified, CommitCandidate, SiteStore } from '../store/site-store.js';
import { planMessage, type PlanContext, type Planned } from './plan.js';
import type { Prepared } from './types.js';

/** What became of a message in `commit`. */
export type Committed = GroupResult<Planned>;

interface Waiting {
  readonly candidate: CommitCandidate;
  readonly prepared: Prepared;
  readonly context: () => PlanContext;
  readonly settle: (result: Committed) => void;
}

/**
 * Why a transaction was done again, for the label of `mpe_sql_retries_total`: `race`, the server's
 * number, the driver's code, or `none`. The values are a closed set of the driver and the server.
 */
export function retryLabel(cause: 'race' | 'transient', error: MpeError | null): string {
  if (cause === 'race') return 'race';
  const { number, code } = error?.facts ?? {};
  return String(number ?? code ?? 'none');
}

/** What a {@link GroupCommitter} needs. */
export interface GroupCommitterOptions {
  readonly store: SiteStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Most messages of one transaction. */
  readonly groupMax: number;
  /** The database does not hold the data key that secrets were encrypted with: the next try needs another. */
  readonly onDataKeyMissing?: () => void;
}

/**
 * Stage `commit`: one transaction for what is ready.
 *
 * A message never waits for others: while a transaction runs, those that become ready gather, and
 * the next takes them, so groups grow with the load alone. One transaction at a time a process; it
 * is the database that makes several processes safe.
 */
export class GroupCommitter {
  readonly #options: GroupCommitterOptions;
  readonly #waiting: Waiting[] = [];
  #running = false;

  constructor(options: GroupCommitterOptions) {
    this.#options = options;
  }

  /**
   * Commits a message with its neighbours.
   *
   * @param context made anew for each attempt, so that a reply never carries an old time
   * @returns never rejects: a fault comes as `transient` or `failed`
   */
  commit(candidate: CommitCandidate, prepared: Prepared, context: () => PlanContext): Promise<Committed> {
    return new Promise((settle) => {
      this.#waiting.push({ candidate, prepared, context, settle });
      if (!this.#running) {
        this.#running = true;
        // After this turn of the loop, so that what is decided together is committed together.
        setImmediate(() => void this.#run());
      }
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      const group = this.#waiting.splice(0, this.#options.groupMax);
      if (group.length === 0) break;
      await this.#commit(group);
    }
    this.#running = false;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const { store, metrics, log } = this.#options;
    const byCandidate = new Map(group.map((waiting) => [waiting.candidate, waiting]));
    const planner: Planner<Planned> = async (candidate: CommitCandidate, facts: Classified) => {
      const waiting = byCandidate.get(candidate);
      if (waiting === undefined) throw new Error('the store asked about a candidate that it was not given');
      return planMessage(candidate, waiting.prepared, facts, waiting.context());
    };
    const startedAt = performance.now();
    let results: readonly Committed[];
    try {
      results = await commitGroup(
        store,
        group.map((waiting) => waiting.candidate),
        planner,
        {
          onRetry: (cause, error) => {
            metrics.sqlRetries.inc({ number: retryLabel(cause, error) });
            if (isDataKeyMissing(error)) this.#options.onDataKeyMissing?.();
          },
        },
      );
    } catch (error) {
      const failed = error instanceof Error ? error : new Error(String(error));
      results = group.map(() => ({ kind: 'failed', error: failed }));
    }
    const tookMs = performance.now() - startedAt;
    metrics.groupSize.observe(group.length);
    metrics.stageDuration.observe({ stage: 'commit' }, tookMs / 1000);
    log.debug({ event: 'group.committed', messages: group.length, tookMs: Math.round(tookMs) });
    group.forEach((waiting, index) => {
      waiting.settle(results[index] ?? { kind: 'failed', error: new Error('no result from the store') });
    });
  }
}
