import type { RecoveryServices } from '../services.js';
import { clientServices } from './areas/clients.js';
import { incidentServices } from './areas/incidents.js';
import { keyServices } from './areas/keys.js';
import { peopleServices } from './areas/people.js';
import { policyServices } from './areas/policies.js';
import { reportServices } from './areas/reports.js';
import { rotationServices } from './areas/rotations.js';
import type { ServicesContext } from './services-context.js';

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
