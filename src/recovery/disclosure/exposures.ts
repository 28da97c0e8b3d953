import { newGuid } from '../../protocol/guid.js';
import type { ExposureWrite } from '../../store/disclosure-store.js';
import type { TriedOpen } from './open-all.js';
import type { DisclosureRequest } from './types.js';

/**
 * One exposure a (key ID, volume) that is shown; none for a TPM password hash, which nobody can rotate.
 * The first one has the disclosure's own id. A package counts as its key: it opens the volume together
 * with the password.
 */
export function exposuresOf(
  context: { readonly rotationDeadlineMs: number; readonly rotationDelayMs?: number },
  { disclosureId, target }: DisclosureRequest,
  open: readonly TriedOpen[],
  atMs: number,
): readonly ExposureWrite[] {
  if (target.kind === 'TPM_OWNER_AUTH') return [];
  const delayMs = context.rotationDelayMs ?? 0;
  const places = new Map(
    open.map(({ secret: { identity } }) => [`${identity.volumeId}/${identity.keyId}`, identity]),
  );
  return [...places.values()].map(({ keyId, volumeId }, n) => ({
    exposureId: n === 0 ? disclosureId : newGuid(),
    keyId,
    volumeId,
    rotation: {
      requestId: newGuid(),
      deadlineMs: atMs + delayMs + context.rotationDeadlineMs,
      notBeforeMs: atMs + delayMs,
      origin: delayMs > 0 ? 'INCIDENT' : 'DISCLOSURE',
    },
  }));
}
