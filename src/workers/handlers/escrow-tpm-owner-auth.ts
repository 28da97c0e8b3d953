import type { Body } from '../../protocol/client-message.js';
import { NIL_GUID } from '../../protocol/guid.js';
import { checkTpmOwnerAuth } from '../../protocol/tpm-owner-auth.js';
import { isMpeError } from '../../ops/errors.js';
import { identify } from '../../secrets/secret-identity.js';
import { NOTHING_JUDGED, type Judged } from '../types.js';
import type { HandlerContext } from './context.js';

/**
 * Judges an EscrowTpmOwnerAuth. Absent: this Windows version does not keep it, nothing changes.
 * Empty or of another length than 20 bytes: refused, never stored over a good value.
 */
export function judgeEscrowTpmOwnerAuth(
  body: Extract<Body, { type: 'ESCROW_TPM_OWNER_AUTH' }>,
  context: HandlerContext,
): Judged {
  if (body.ownerAuth === undefined) return NOTHING_JUDGED;
  try {
    checkTpmOwnerAuth(body.ownerAuth);
  } catch (error) {
    if (!isMpeError(error, 'VALUE_INVALID')) throw error;
    return { ...NOTHING_JUDGED, tpmOwnerAuth: { kind: 'refused', reason: 'TPM_OWNER_AUTH_INVALID' } };
  }
  if (context.gates.tpmOwnerAuth !== 'NONE')
    return { ...NOTHING_JUDGED, tpmOwnerAuth: { kind: 'refused', reason: context.gates.tpmOwnerAuth } };
  const identity = identify(
    context.fingerprintKey,
    'TPM_OWNER_AUTH',
    context.clientId,
    NIL_GUID,
    body.ownerAuth,
  );
  return {
    ...NOTHING_JUDGED,
    secrets: [{ identity, plaintext: body.ownerAuth }],
    tpmOwnerAuth: { kind: 'secret', secretId: Buffer.from(identity.secretId).toString('hex') },
  };
}
