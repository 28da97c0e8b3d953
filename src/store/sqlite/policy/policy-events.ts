import type { Guid } from '../../../protocol/guid.js';
import { POLICY_EVENTS, type PolicyEventRow } from '../../policy-store.js';
import { guid, integer, text, word } from '../columns.js';
import type { Connection } from '../connection.js';

/** What was done to a policy, the newest first. */
export function readPolicyEvents(c: Connection, policyId: Guid, limit: number): PolicyEventRow[] {
  return c
    .all('SELECT * FROM MPE_PolicyEvents WHERE PolicyId = ? ORDER BY Revision DESC LIMIT ?', policyId, limit)
    .map((row) => ({
      policyId: guid(row, 'PolicyId'),
      revision: integer(row, 'Revision'),
      event: word(row, 'Event', POLICY_EVENTS),
      detail: text(row, 'Detail'),
      atMs: integer(row, 'HappenedAt'),
      by: text(row, 'DoneBy'),
    }));
}
