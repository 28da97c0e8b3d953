import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../ops/log.js';
import type { RotationKeeper } from './keeper.js';
import type { RotationMetrics } from './metrics.js';

/** What a loop of rounds works with. */
export interface RoundsOptions {
  readonly everyMs: number;
  readonly log: Logger;
  /** Asks for what others left unasked. */
  readonly incidents: { round(signal: AbortSignal): Promise<void> };
}

/** One round after the other until `signal` aborts; no fault of a round ends the loop. */
export async function rotationRounds(
  keeper: RotationKeeper,
  metrics: RotationMetrics,
  { everyMs, log, incidents }: RoundsOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = performance.now();
    try {
      const report = await keeper.round(signal);
      await incidents.round(signal);
      if (report !== null) {
        metrics.rounds.inc({ result: 'done' });
        const news = report.completed + report.replaced + report.returned > 0;
        log[news ? 'info' : 'debug']({ event: 'rotation.round', ...report });
      }
    } catch (error) {
      metrics.rounds.inc({ result: 'failed' });
      log.error({ event: 'rotation.round_failed', error }, 'a round of the rotation keeper broke off');
    }
    const leftMs = everyMs - (performance.now() - startedAt);
    await sleep(Math.max(0, leftMs), undefined, { signal }).catch(() => undefined);
  }
}
