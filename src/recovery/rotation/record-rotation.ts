import { newGuid } from '../../protocol/guid.js';
import type { AuditSource } from '../../store/disclosure-store.js';
import { recordEvent, type AuditContext } from '../audit/record.js';
import type { RotationTarget } from './request.js';

/** Who asks for rotations or gives one up, and through what. */
export interface RotationActor {
  readonly name: string;
  readonly source: AuditSource;
}

/**
 * The row of what an operator does about rotations: it shows no key, so it names none as shown. Written
 * before the deed, so that there is no deed without a row.
 *
 * @throws MpeError AUDIT_UNAVAILABLE
 */
export async function recordRotation(
  context: AuditContext,
  { name, source }: RotationActor,
  reason: string,
  detail: string,
): Promise<void> {
  await recordEvent(
    context,
    {
      ...{ requestId: newGuid(), source, person: name, helpdeskUser: name, endUser: '', machine: '' },
      ...{ keyType: '', keyId: '', reason, ticket: '', detail },
    },
    'Successful',
  );
}

/** What is to be rotated, in words for {@link recordRotation}. */
export function targetsInWords(targets: readonly RotationTarget[], perHour: number | null): string {
  const [only] = targets;
  if (targets.length === 1 && only !== undefined)
    return 'volumeId' in only ? `volume ${only.volumeId}` : `client ${only.clientId}`;
  return `${targets.length} clients${perHour === null ? '' : `, ${perHour} an hour`}`;
}
