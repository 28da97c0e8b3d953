/** How full the queue is. */
export interface QueueDepth {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Age of the job that has waited longest, in milliseconds; 0 where none waits. */
  readonly oldestWaitingMs: number;
}
