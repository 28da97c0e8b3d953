import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

const RESOLUTION_MS = 20;

/** Seconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Delays of the event loop over the last two readings.
 *
 * Node's histogram forgets at a reset also what is being measured: the time since its last tick, and
 * with it a stall that lies across the reset. So there are two, each reset at every other reading; what
 * the one loses at its reset stands in the other, which is read next. A stall shows in one reading or in
 * two, never in none.
 */
export class LoopDelayWatch {
  readonly #histograms: [older: IntervalHistogram, newer: IntervalHistogram];

  constructor() {
    const [older, newer] = [start(), start()];
    this.#histograms = [older, newer];
  }

  /** The delays since the reading before the last. */
  read(): LoopDelay {
    const [older, newer] = this.#histograms;
    const delay = {
      p50: seconds(older.percentile(50)),
      p99: seconds(older.percentile(99)),
      max: seconds(older.max),
    };
    // Readings in quick succession: the newer one measures nothing before it has ticked.
    if (newer.count > 0) {
      older.reset();
      this.#histograms.reverse();
    }
    return delay;
  }

  /** Measures no more. */
  close(): void {
    for (const histogram of this.#histograms) histogram.disable();
  }
}

function start(): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

/** Before the first tick there is nothing. */
function seconds(nanoseconds: number): number {
  return Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0;
}
