import type { PolicyEvent } from '../../store/policy-store.js';
import type { AuditContext } from '../audit/record.js';
import { recordDeed, type Doer } from '../audit/record-deed.js';
import type { PolicyActor } from './policies.js';

/** What the audit calls each change. */
const WORDS: Readonly<Record<PolicyEvent, string>> = {
  CREATED: 'Policy created',
  CHANGED: 'Policy changed',
  DEPLOYED: 'Policy deployed',
  RETIRED: 'Policy retired',
  RING_OPENED: 'Ring opened',
  RING_PAUSED: 'Ring paused',
  RING_RESUMED: 'Ring resumed',
};

/** Writes the row of each change of a policy, before the change. */
export function policyRecorder(context: AuditContext, by: Doer): NonNullable<PolicyActor['record']> {
  return async ({ event, detail, policy }, result) => {
    const said = `policy "${policy.name}" (${policy.policyId}), revision ${policy.revision}`;
    const text = detail === '' ? said : `${said}: ${detail}`;
    await recordDeed(context, by, WORDS[event], result === 'Failed' ? `CONFLICT: ${text}` : text, result);
  };
}
