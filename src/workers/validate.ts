import type { ClientMessage } from '../protocol/client-message.js';
import { assertNever } from '../ops/errors.js';
import type { HandlerContext } from './handlers/context.js';
import { judgeCheckIn } from './handlers/check-in.js';
import { judgeEscrowRecoveryKeys } from './handlers/escrow-recovery-keys.js';
import { judgeEscrowTpmOwnerAuth } from './handlers/escrow-tpm-owner-auth.js';
import { judgeRotationResult } from './handlers/rotation-result.js';
import { refuse, type Judged, type Refusal } from './types.js';

/**
 * Stage `validate`: values and gates, item by item. One handler a body.
 *
 * Without any policy nothing is taken; where policies only observe, check-ins and rotation results
 * are taken and escrow is refused as a whole. Everything else refuses items.
 */
export function validate(message: ClientMessage, context: HandlerContext): Judged | Refusal {
  if (context.gates.noPolicy)
    return refuse('POLICY_REFUSED', 'no BitLocker management policy applies to this client');
  const judged = dispatch(message, context);
  return typeof judged === 'string' ? refuse('MALFORMED', judged) : judged;
}

function dispatch(message: ClientMessage, context: HandlerContext): Judged | Refusal | string {
  const { body } = message;
  switch (body.type) {
    case 'ESCROW_RECOVERY_KEYS':
      return context.gates.observeOnly ? observes() : judgeEscrowRecoveryKeys(body, context);
    case 'ESCROW_TPM_OWNER_AUTH':
      return context.gates.observeOnly ? observes() : judgeEscrowTpmOwnerAuth(body, context);
    case 'ROTATION_RESULT':
      return judgeRotationResult(body);
    case 'CHECK_IN':
      return judgeCheckIn(body, context);
    default:
      return assertNever(body);
  }
}

function observes(): Refusal {
  return refuse('POLICY_REFUSED', 'every policy that applies to this client only observes');
}
