import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';

/** A piece of work that comes back. */
export interface Chore {
  readonly name: string;
  readonly everyMs: number;
  readonly run: () => Promise<void>;
}

const DAY_MS = 86_400_000;
/** Outcomes are kept at least this long, whatever is configured. */
const LEAST_RETENTION_DAYS = 30;

/** From which time on outcomes are kept. */
export function pruneBefore(clock: Clock, retentionDays: number): number {
  return clock.now() - Math.max(LEAST_RETENTION_DAYS, retentionDays) * DAY_MS;
}

/**
 * Runs chores again and again, each never twice at a time. A chore that fails is logged and comes
 * again; every chore is safe to run in several processes at once.
 */
export class Housekeeping {
  readonly #timers: NodeJS.Timeout[];
  readonly #running = new Set<Promise<void>>();

  constructor(chores: readonly Chore[], log: Logger) {
    this.#timers = chores.map((chore) => {
      let busy = false;
      const timer = setInterval(() => {
        if (busy) return;
        busy = true;
        const run = chore
          .run()
          .catch((error: unknown) => log.warn({ event: 'worker.chore_failed', chore: chore.name, error }))
          .finally(() => {
            busy = false;
            this.#running.delete(run);
          });
        this.#running.add(run);
      }, chore.everyMs);
      timer.unref();
      return timer;
    });
  }

  /** Starts nothing more and waits for what runs. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.allSettled(this.#running);
  }
}
