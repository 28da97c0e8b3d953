import type { Logger } from 'pino';

/** One delivery of a job that this process has in hand. */
export interface HeldJob {
  readonly controller: AbortController;
  /** Settles when it is no longer in hand. */
  readonly ended: Promise<void>;
  readonly end: () => void;
  renewedAt: number;
}

/**
 * Fires a job's signal when its lock is lost: BullMQ said so, or the lock could not be renewed for
 * as long as it lasts (Redis away, event loop blocked). The commit's own fence makes a late commit
 * harmless; the signal saves the work.
 */
export class LockWatch {
  readonly #lockMs: number;
  readonly #log: Logger;
  readonly #held = new Map<string, HeldJob>();
  readonly #timer: NodeJS.Timeout;

  constructor(lockMs: number, log: Logger) {
    this.#lockMs = lockMs;
    this.#log = log;
    this.#timer = setInterval(() => this.#check(), Math.max(50, lockMs / 4));
    this.#timer.unref();
  }

  /**
   * Watches a job that was just taken. Where this process has it in hand already, that lock is lost: BullMQ
   * keeps one lock a job and process, renews the new one, and never speaks of the old one again.
   */
  track(jobId: string): HeldJob {
    this.lost([jobId]);
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const held = { controller: new AbortController(), ended, end, renewedAt: performance.now() };
    this.#held.set(jobId, held);
    return held;
  }

  /** Stops watching; a newer delivery of the same job stays watched. */
  untrack(jobId: string, held: HeldJob): void {
    held.end();
    if (this.#held.get(jobId) === held) this.#held.delete(jobId);
  }

  /**
   * Waits until no delivery of the job is in hand here. BullMQ stops renewing by the job's id: an older
   * delivery that returned to it would end the renewal of the newer one's lock.
   */
  async ended(jobId: string): Promise<void> {
    for (let held = this.#held.get(jobId); held !== undefined; held = this.#held.get(jobId)) await held.ended;
  }

  /** BullMQ renewed these locks. */
  renewed(jobIds: readonly string[]): void {
    const now = performance.now();
    for (const jobId of jobIds) {
      const held = this.#held.get(jobId);
      if (held !== undefined) held.renewedAt = now;
    }
  }

  /** BullMQ could not renew these: they are gone. */
  lost(jobIds: readonly string[]): void {
    for (const jobId of jobIds) {
      const held = this.#held.get(jobId);
      if (held === undefined || held.controller.signal.aborted) continue;
      this.#log.warn({ event: 'queue.lock_lost', jobId }, 'the lock of a job in hand is lost');
      held.controller.abort(new Error('the lock of this job is lost'));
    }
  }

  #check(): void {
    const now = performance.now();
    const late = [...this.#held].filter(([, held]) => now - held.renewedAt > this.#lockMs);
    if (late.length > 0) this.lost(late.map(([jobId]) => jobId));
  }

  /** Stops watching all. */
  close(): void {
    clearInterval(this.#timer);
  }
}
