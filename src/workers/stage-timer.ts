import type { Clock } from '../ops/clock.js';
import type { Metrics } from '../ops/metrics.js';
import type { StageRecord } from '../store/site-store.js';

/** Notes the stages that one message passes, for `mpe messages show` and the metrics. */
export class StageTimer {
  readonly #records: StageRecord[] = [];
  readonly #clock: Clock;
  readonly #by: string;
  readonly #metrics: Metrics;

  /** @param by - the process, e.g. `host/4711` */
  constructor(clock: Clock, by: string, metrics: Metrics) {
    this.#clock = clock;
    this.#by = by;
    this.#metrics = metrics;
  }

  /** Where the message came from. */
  received(atMs: number, gatewayId: string): void {
    this.#records.push({ stage: 'receive', atMs, tookMs: 0, by: gatewayId, note: '' });
  }

  /** Runs a stage and notes it, also where it throws. */
  async run<T>(stage: StageRecord['stage'], work: () => T | Promise<T>): Promise<T> {
    const atMs = this.#clock.now();
    const startedAt = performance.now();
    let note = '';
    try {
      return await work();
    } catch (error) {
      note = 'FAILED';
      throw error;
    } finally {
      const tookMs = Math.round((performance.now() - startedAt) * 1000) / 1000;
      this.#metrics.stageDuration.observe({ stage }, tookMs / 1000);
      this.#records.push({ stage, atMs, tookMs, by: this.#by, note });
    }
  }

  /** The stages so far. */
  get records(): readonly StageRecord[] {
    return [...this.#records];
  }
}
