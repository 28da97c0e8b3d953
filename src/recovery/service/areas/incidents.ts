import { MpeError } from '../../../ops/errors.js';
import type { IncidentRow } from '../../../store/disclosure-store.js';
import type { IncidentLine, RecoveryServices } from '../../services.js';
import type { ServicesContext } from '../services.js';

const LISTED = 100;

/** Incidents. They are proposed and confirmed on the command line; here they are seen. */
export function incidentServices({ store, clock }: ServicesContext): RecoveryServices['incidents'] {
  const elsewhere = (): Promise<never> =>
    Promise.reject(new MpeError('VALUE_INVALID', 'incidents are opened on the command line: mpe incident'));
  return {
    list: async () => (await store.disclosure.readIncidents(LISTED)).map((row) => lineOf(row, clock.now())),
    propose: elsewhere,
    confirm: elsewhere,
    end: elsewhere,
  };
}

/** An incident as lists show it. */
export function lineOf(row: IncidentRow, nowMs: number): IncidentLine {
  const over = row.endedAtMs !== null || (row.endsAtMs !== null && row.endsAtMs <= nowMs);
  return {
    incidentId: row.incidentId,
    title: row.title,
    state: over ? 'ENDED' : row.confirmedAtMs === null ? 'PROPOSED' : 'OPEN',
    proposedBy: row.proposedBy,
    confirmedBy: row.confirmedBy,
    machines: row.machines.length,
    openedAtMs: row.confirmedAtMs,
    endsAtMs: row.endsAtMs,
  };
}
