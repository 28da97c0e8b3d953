/** How long to wait between attempts. Milliseconds. */
export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The published steps: 1 second to 5 minutes. */
export const DEFAULT_BACKOFF: Backoff = { baseMs: 1000, capMs: 300_000 };

/**
 * Jitter over nine tenths of an exponential step: a fleet that lost its server together does not come back
 * together. Never below `floorMs`, which is what the server asked for.
 *
 * @param attempt 0 for the first wait.
 * @param random a number in [0, 1).
 */
export function backoffDelay(backoff: Backoff, attempt: number, floorMs: number, random: number): number {
  const step = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(floorMs + step * (0.1 + 0.9 * random));
}
