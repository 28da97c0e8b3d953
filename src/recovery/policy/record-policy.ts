import { newGuid } from '../../protocol/guid.js';
import type { AuditSource } from '../../store/disclosure-store.js';
import type { PolicyEvent } from '../../store/policy-store.js';
import { recordEvent, type AuditContext } from '../audit/record.js';
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

/**
 * Writes the row of each change of a policy: it shows no key, so it names none as shown. Written before
 * the change, so that there is no change without a row.
 */
export function policyRecorder(
  context: AuditContext,
  { name, source }: { readonly name: string; readonly source: AuditSource },
): NonNullable<PolicyActor['record']> {
  return async ({ event, detail, policy }, result) => {
    const said = `policy "${policy.name}" (${policy.policyId}), revision ${policy.revision}`;
    const text = detail === '' ? said : `${said}: ${detail}`;
    await recordEvent(
      context,
      {
        ...{ requestId: newGuid(), source, person: name, helpdeskUser: name, endUser: '', machine: '' },
        ...{ keyType: '', keyId: '', reason: WORDS[event], ticket: '' },
        detail: result === 'Failed' ? `CONFLICT: ${text}` : text,
      },
      result,
    );
  };
}
