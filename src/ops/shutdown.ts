import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './log.js';

/** One part of a process that has work to finish. */
export interface Drain {
  readonly name: string;
  /** Stops taking work, finishes what it has. `signal` aborts when the bound is reached. */
  readonly drain: (signal: AbortSignal) => Promise<void>;
  /** Gives up at once; called where the drain did not end in its bound. */
  readonly force?: () => Promise<void>;
}

/** How long a forced end may take before the process goes anyway. */
const FORCE_MS = 2_000;

/**
 * Ends a process in order.
 *
 * The first SIGTERM or SIGINT drains the parts one after the other, in the order in which they were
 * added, all together within `boundMs`; exit status 0. Where the bound passes or a drain fails, the
 * parts are forced; exit status 1. A second signal forces, then the process kills itself with that
 * signal, so that its parent sees the truth.
 */
export class Shutdown {
  readonly #log: Logger;
  readonly #boundMs: number;
  readonly #drains: Drain[] = [];
  readonly #began = new AbortController();
  readonly #bound = new AbortController();
  #running: Promise<void> | null = null;
  #forcing = false;

  /** Starts listening for signals. */
  constructor(log: Logger, boundMs: number) {
    this.#log = log;
    this.#boundMs = boundMs;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => this.#onSignal(signal));
    }
  }

  /** Aborted once the process is ending: readiness answers no, no new work starts. */
  get signal(): AbortSignal {
    return this.#began.signal;
  }

  /** Adds a part. */
  add(drain: Drain): void {
    this.#drains.push(drain);
  }

  /**
   * Ends the process as a signal would.
   *
   * @param status - exit status of a clean end, e.g. 1 where a watchdog gave up
   */
  end(reason: string, status = 0): Promise<void> {
    this.#running ??= this.#run(reason, status);
    return this.#running;
  }

  #onSignal(signal: 'SIGTERM' | 'SIGINT'): void {
    if (this.#running === null) {
      void this.end(signal);
      return;
    }
    if (this.#forcing) return;
    this.#log.warn({ event: 'shutdown.forced', signal }, 'second signal: ending at once');
    void this.#forceAll().finally(() => {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  }

  async #run(reason: string, status: number): Promise<void> {
    const startedAt = performance.now();
    this.#log.info({ event: 'shutdown.started', reason, boundMs: this.#boundMs }, 'draining');
    this.#began.abort();
    const timer = setTimeout(() => this.#bound.abort(), this.#boundMs);
    const late = new Promise<'late'>((resolve) => {
      this.#bound.signal.addEventListener('abort', () => resolve('late'), { once: true });
    });
    const outcome = await Promise.race([this.#drainAll(), late]);
    clearTimeout(timer);
    if (this.#forcing) return;
    const tookMs = Math.round(performance.now() - startedAt);
    if (outcome === 'drained') {
      this.#log.info({ event: 'shutdown.done', tookMs }, 'drained');
      process.exit(status);
    }
    this.#log.error(
      { event: outcome === 'late' ? 'shutdown.bound' : 'shutdown.failed', tookMs },
      outcome === 'late' ? 'not drained within the bound: ending anyway' : 'a part did not drain',
    );
    await this.#forceAll();
    process.exit(status === 0 ? 1 : status);
  }

  async #drainAll(): Promise<'drained' | 'failed'> {
    let failed = false;
    for (const part of this.#drains) {
      try {
        await part.drain(this.#bound.signal);
      } catch (error) {
        failed = true;
        this.#log.error({ event: 'shutdown.part_failed', part: part.name, error }, 'drain failed');
      }
    }
    return failed ? 'failed' : 'drained';
  }

  async #forceAll(): Promise<void> {
    this.#forcing = true;
    this.#began.abort();
    this.#bound.abort();
    const forced = this.#drains.map(async (part) => {
      try {
        await part.force?.();
      } catch (error) {
        this.#log.error({ event: 'shutdown.part_failed', part: part.name, error }, 'force failed');
      }
    });
    await Promise.race([Promise.all(forced), sleep(FORCE_MS, undefined, { ref: false })]);
  }
}
