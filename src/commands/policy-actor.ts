import { clockOf, type Config } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import type { PolicyActor } from '../recovery/policy/policies.js';
import { policyRecorder } from '../recovery/policy/record-policy.js';
import type { SiteRow, SiteStore } from '../store/site-store.js';
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
    record: async (change, result) => {
      try {
        await record(change, result);
      } catch (error) {
        throw explained(error);
      }
    },
  };
}

/** Says what to do where trying again does not help: the database refused the row for good. */
function explained(error: unknown): unknown {
  if (!isMpeError(error, 'AUDIT_UNAVAILABLE') || !isMpeError(error.cause) || error.cause.retryable)
    return error;
  return new MpeError(
    'AUDIT_UNAVAILABLE',
    'nothing was changed: the site database does not take the audit row of this change. On SQL Server the login needs ' +
      'the role mpe_recovery beside mpe_operator (docs/sqlserver.md); or make the change in the portal or through the ' +
      'recovery API, which hold that right. No audit key is needed here: it signs checkpoints, not rows. ' +
      `The database said: ${error.cause.message}`,
    { cause: error.cause },
  );
}
