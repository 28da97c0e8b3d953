import type { Logger } from '../ops/log.js';
import type { Strikes } from '../queue/index.js';

/** A job that was started alone this often, and never ended, is given up. */
export const MAX_STRIKES = 3;

/**
 * Counts how often a suspect was started alone. A strike is written just before the start and taken
 * away as soon as the process has survived it, whatever the answer; so a strike that stays means
 * that the process died under this job and no other.
 */
export class Suspects {
  readonly #strikes: Strikes;
  readonly #log: Logger;
  readonly #running = new Set<string>();

  constructor(strikes: Strikes, log: Logger) {
    this.#strikes = strikes;
    this.#log = log;
  }

  /** Strikes against a job so far. @throws MpeError QUEUE_UNAVAILABLE */
  async count(jobId: string): Promise<number> {
    return this.#strikes.get(jobId);
  }

  /**
   * Runs a suspect; the caller sees to it that nothing else runs.
   *
   * @throws what `work` throws, MpeError QUEUE_UNAVAILABLE where the strike cannot be written: a
   *   suspect never starts uncounted
   */
  async run<T>(jobId: string, work: () => Promise<T>): Promise<T> {
    const strike = await this.#strikes.add(jobId);
    this.#running.add(jobId);
    this.#log.warn({ event: 'worker.suspect', jobId, strike }, 'runs alone: an earlier process died with it');
    try {
      return await work();
    } finally {
      this.#running.delete(jobId);
      await this.forget(jobId);
    }
  }

  /** Forgets a job's strikes; failing to do so costs it one try at worst. */
  async forget(jobId: string): Promise<void> {
    await this.#strikes.clear(jobId).catch((error: unknown) => {
      this.#log.warn({ event: 'worker.strike_stays', jobId, error });
    });
  }

  /** The process is told to go while suspects run: their ends are no fault of theirs. */
  async forgetRunning(): Promise<void> {
    await Promise.all([...this.#running].map((jobId) => this.forget(jobId)));
  }
}
