import type { Config } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { recordDeed } from '../recovery/audit/record-deed.js';
import type { SiteStore } from '../store/site-store.js';
import { operator } from './incident.js';

/**
 * Writes the audit row of a change at the command line, before the change. Where the database refuses the
 * row for good, the error says what to do.
 *
 * @throws MpeError AUDIT_UNAVAILABLE: the change must not be made
 */
export async function auditedChange(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isMpeError(error, 'AUDIT_UNAVAILABLE') || !isMpeError(error.cause)) throw error;
    // A lack of rights is put off elsewhere, for no message is at fault; here a person can end it.
    if (error.cause.retryable && error.cause.facts['lacksRight'] !== true) throw error;
    throw new MpeError(
      'AUDIT_UNAVAILABLE',
      'nothing was changed: the site database does not take the audit row of this change. On SQL Server the role ' +
        'mpe_operator of this release has the right to it: apply "mpe migrate --roles" again (docs/sqlserver.md). Or make ' +
        'the change in the portal or through the recovery API. No audit key is needed here: it signs checkpoints, not ' +
        `rows. The database said: ${error.cause.message}`,
      { cause: error.cause },
    );
  }
}

/** Writes the row of what the person at the command line is about to do; see {@link auditedChange}. */
export function operatorDeed(config: Config, store: SiteStore, nowMs: number) {
  return async (reason: string, detail: string, result?: 'Failed'): Promise<void> => {
    const context = { store, clock: { now: () => nowMs }, log: createLogger('audit', config, { fd: 2 }) };
    const doer = { name: operator().person.name, source: 'Command line' } as const;
    await auditedChange(() => recordDeed(context, doer, reason, detail, result));
  };
}
