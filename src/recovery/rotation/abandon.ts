import { MpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';
import type { Guid } from '../../protocol/guid.js';
import type { RotationRecord, RotationStore } from '../../store/rotation-store.js';

/** Longest reason, as the audit and the database take it. */
const REASON_MAX = 500;

/** How a rotation is given up. */
export interface Abandoning {
  readonly by: string;
  readonly reason: string;
  readonly nowMs: number;
  /** Called with the words for the audit before anything is done. */
  readonly record: (reason: string, detail: string) => Promise<void>;
}

/**
 * Gives a rotation up: clients are not told any more, and the key stays exposed. Only a new exposure
 * asks for it again.
 *
 * @throws MpeError VALUE_INVALID where there is no such request, it is closed, or no reason is given;
 *   what `record` throws, and then nothing was done
 */
export async function abandonRotation(
  store: RotationStore,
  requestId: Guid,
  { by, reason, nowMs, record }: Abandoning,
): Promise<void> {
  const said = redactText(reason.trim());
  if (said === '' || said.length > REASON_MAX)
    throw new MpeError('VALUE_INVALID', `give a reason of 1 to ${REASON_MAX} characters`);
  const before = await need(store, requestId);
  await record(`Rotation abandoned: ${said}`, `request ${requestId}, key ID ${before.keyId}`);
  const closed = await store.close([
    { requestId, round: null, as: 'ABANDONED', by, reason: said, atMs: nowMs },
  ]);
  // Somebody else closed it in between.
  if (closed.length === 0) await need(store, requestId);
}

/** A request that is open. @throws MpeError VALUE_INVALID where there is none */
async function need(store: RotationStore, requestId: Guid): Promise<RotationRecord> {
  const facts = await store.find(requestId);
  if (facts?.request.closedAs === null) return facts.request;
  throw new MpeError(
    'VALUE_INVALID',
    facts === null
      ? `there is no rotation request ${requestId}`
      : `rotation ${requestId} is ${facts.request.closedAs} already`,
  );
}
