import type { Logger } from 'pino';

/** How a {@link ProgressWatch} is made. */
export interface ProgressWatchOptions {
  /** Counts waiting jobs; may throw or never answer while Redis is away. */
  readonly waiting: () => Promise<number>;
  readonly afterMs: number;
  readonly log: Logger;
  readonly onNoProgress: () => void;
}

/** Notices that jobs wait while none ends: a worker that is alive and does nothing. */
export class ProgressWatch {
  readonly #options: ProgressWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #movedAt = performance.now();
  #asking = false;

  constructor(options: ProgressWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#check(), Math.max(20, options.afterMs / 4));
    this.#timer.unref();
  }

  /** A job ended. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  async #check(): Promise<void> {
    if (this.#asking || performance.now() - this.#movedAt < this.#options.afterMs) return;
    this.#asking = true;
    try {
      const waiting = await this.#options.waiting();
      if (waiting === 0) {
        this.moved();
        return;
      }
      const idleMs = Math.round(performance.now() - this.#movedAt);
      if (idleMs < this.#options.afterMs) return;
      this.#options.log.error(
        { event: 'queue.no_progress', waiting, idleMs },
        'jobs wait and none has ended for a while: restart this worker, or look at the database',
      );
      this.#options.onNoProgress();
      this.moved();
    } catch {
      // Redis away: there is nothing to say about progress.
    } finally {
      this.#asking = false;
    }
  }

  /** Stops watching. */
  close(): void {
    clearInterval(this.#timer);
  }
}
