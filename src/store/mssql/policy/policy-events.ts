import type { Guid } from '../../../protocol/guid.js';
import { POLICY_EVENTS, type PolicyEventRow } from '../../policy-store.js';
import { guid, integer, text, time, word } from '../columns.js';
import { guidOf, intOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/** What was done to a policy, the newest first. */
export async function readPolicyEvents(
  session: Session,
  policyId: Guid,
  limit: number,
): Promise<PolicyEventRow[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) PolicyId, Revision, Event, Detail, HappenedAt, DoneBy FROM MPE_PolicyEvents
     WHERE PolicyId = @policyId ORDER BY Revision DESC`,
    { policyId: guidOf(policyId), limit: intOf(limit) },
  );
  return firstSet(sets).map((row) => ({
    policyId: guid(row, 'PolicyId'),
    revision: integer(row, 'Revision'),
    event: word(row, 'Event', POLICY_EVENTS),
    detail: text(row, 'Detail'),
    atMs: time(row, 'HappenedAt'),
    by: text(row, 'DoneBy'),
  }));
}
