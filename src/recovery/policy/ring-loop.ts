import { setTimeout as sleep } from 'node:timers/promises';
import { TURNS_AN_HOUR, watchRings, type RingWatchOptions } from './ring-watch.js';

const TURN_MS = 3_600_000 / TURNS_AN_HOUR;

/**
 * Watches the rings turn after turn until the signal comes; a turn that fails is said and comes again.
 * Ends when the turn under way has.
 */
export async function ringLoop(options: RingWatchOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await watchRings(options).catch((error: unknown) =>
      options.log.error(
        { event: 'policy.ring_watch_failed', error },
        'the rings were not looked after; again',
      ),
    );
    await sleep(TURN_MS, undefined, { signal }).catch(() => undefined);
  }
}
