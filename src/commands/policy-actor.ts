import { clockOf, type Config } from '../config/index.js';
import { createLogger } from '../ops/log.js';
import type { PolicyActor } from '../recovery/policy/policies.js';
import { policyRecorder } from '../recovery/policy/record-policy.js';
import type { SiteRow, SiteStore } from '../store/site-store.js';
import { auditedChange } from './audited-change.js';
import { operator } from './incident.js';

/**
 * The person at the command line as one who changes policies: history and audit name the same. A change
 * whose audit row cannot be written is not made.
 */
export function policyActor(config: Config, store: SiteStore, site: SiteRow): PolicyActor {
  const { name } = operator().person;
  const clock = clockOf(config, site.testSite);
  const record = policyRecorder(
    { store, clock, log: createLogger('policy', config, { fd: 2 }) },
    { name, source: 'Command line' },
  );
  return {
    ...{ by: name, atMs: clock.now() },
    record: (change, result) => auditedChange(() => record(change, result)),
  };
}
