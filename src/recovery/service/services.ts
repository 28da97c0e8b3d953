import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { SiteStore } from '../../store/site-store.js';
import type { DisclosureContext } from '../disclosure/disclose.js';
import type { RecoveryServices } from '../services.js';
import { clientServices } from './areas/clients.js';
import { incidentServices } from './areas/incidents.js';
import { keyServices } from './areas/keys.js';
import { peopleServices } from './areas/people.js';
import { policyServices } from './areas/policies.js';
import { reportServices } from './areas/reports.js';
import { rotationServices } from './areas/rotations.js';

/** What the services stand on. */
export interface ServicesContext {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** For showing keys, and for writing the audit. */
  readonly disclosure: DisclosureContext;
}

/** The services that pages and API call; each area in a file of its own. */
export function recoveryServices(context: ServicesContext): RecoveryServices {
  return {
    keys: keyServices(context),
    rotations: rotationServices(context),
    policies: policyServices(context),
    clients: clientServices(context),
    reports: reportServices(context),
    incidents: incidentServices(context),
    people: peopleServices(context),
  };
}
