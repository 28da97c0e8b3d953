import { newGuid } from '../../protocol/guid.js';
import type { AuditSource } from '../../store/disclosure-store.js';
import { recordEvent, type AuditContext } from './record.js';

/** Who does something, as the audit names people, and through what. */
export interface Doer {
  readonly name: string;
  readonly source: AuditSource;
}

/**
 * The row of something that is done to the site: it shows no key, so it names none as shown. Written
 * before the deed, so that there is no deed without a row; a deed that fails afterwards leaves a row too
 * many, never one too few.
 *
 * @param reason what is done, in the words of the report.
 * @param detail to whom or to what; never a key, never a password.
 * @throws MpeError AUDIT_UNAVAILABLE: it must not be done
 */
export async function recordDeed(
  context: AuditContext,
  { name, source }: Doer,
  reason: string,
  detail: string,
  result: 'Successful' | 'Failed' = 'Successful',
): Promise<void> {
  await recordEvent(
    context,
    {
      ...{ requestId: newGuid(), source, person: name, helpdeskUser: name, endUser: '', machine: '' },
      ...{ keyType: '', keyId: '', reason, ticket: '', detail },
    },
    result,
  );
}
