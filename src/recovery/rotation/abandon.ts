import { MpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';
import type { Guid } from '../../protocol/guid.js';
import type { RotationStore } from '../../store/rotation-store.js';

/** Longest reason, as the audit and the database take it. */
const REASON_MAX = 500;

/**
 * Gives a rotation up: clients are not told any more, and the key stays exposed. Only a new exposure
 * asks for it again.
 *
 * @throws MpeError VALUE_INVALID where there is no such request, it is closed, or no reason is given
 */
export async function abandonRotation(
  store: RotationStore,
  requestId: Guid,
  { by, reason, nowMs }: { readonly by: string; readonly reason: string; readonly nowMs: number },
): Promise<void> {
  const said = redactText(reason.trim());
  if (said === '' || said.length > REASON_MAX)
    throw new MpeError('VALUE_INVALID', `give a reason of 1 to ${REASON_MAX} characters`);
  const closed = await store.close([
    { requestId, round: null, as: 'ABANDONED', by, reason: said, atMs: nowMs },
  ]);
  if (closed.length > 0) return;
  const facts = await store.find(requestId);
  throw new MpeError(
    'VALUE_INVALID',
    facts === null
      ? `there is no rotation request ${requestId}`
      : `rotation ${requestId} is ${facts.request.closedAs ?? 'open'} already`,
  );
}
