import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { Guid } from '../../protocol/guid.js';
import type { SiteStore } from '../../store/site-store.js';
import { rotateIncident } from './rotate-incident.js';

/** What {@link IncidentRotations} works with. */
export interface IncidentRotationsOptions {
  readonly store: Pick<SiteStore, 'disclosure' | 'rotation'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly rotationDeadlineMs: number;
}

/**
 * Asks for the rotations of incidents that are confirmed and not over. Whoever confirms one does so right
 * after the confirmation is written; where that process died in between, this one does. What was asked for
 * already stays as it is, so each incident has its turn once in the life of a process.
 */
export class IncidentRotations {
  readonly #o: IncidentRotationsOptions;
  readonly #done = new Set<Guid>();

  constructor(options: IncidentRotationsOptions) {
    this.#o = options;
  }

  /**
   * One look at the open incidents.
   *
   * @throws MpeError STORE_TRANSIENT, STORE_FAILED; the next look begins again with what was not done
   */
  async round(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#o;
    for (const incidentId of await store.disclosure.openIncidents(clock.now())) {
      if (this.#done.has(incidentId)) continue;
      const incident = await store.disclosure.readIncident(incidentId);
      if (incident === null) continue;
      const keys = await rotateIncident(this.#o, incident, signal);
      if (signal.aborted) return;
      this.#done.add(incidentId);
      log.info({ event: 'incident.rotations', incidentId, keys });
    }
  }
}
