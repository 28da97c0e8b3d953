import type { Classified, OpenRotation } from '../store/site-store.js';
import type { Gates } from './gates.js';
import { mayRotate } from './may-rotate.js';
import type { Prepared } from './types.js';

/** ROTATE_KEY commands of one reply at most: those with the earliest deadlines. */
export const MAX_ROTATIONS = 128;

/**
 * The rotations that a reply asks for: what the client has proven and not replaced yet, once its time
 * has come (pacing) and the policy lets it (may-rotate.ts). A request that waits stays open and listed.
 */
export function rotationsFor(
  prepared: Prepared,
  facts: Classified,
  gates: Gates,
  nowMs: number,
): readonly OpenRotation[] {
  // A blocked client is asked for nothing: whatever it sends would be refused.
  if (prepared.refusal?.reason === 'CLIENT_BLOCKED') return [];
  const late = facts.highestSequence > prepared.rank.sequence;
  // What this very check-in says of other managers counts before what the one before it said.
  const others = (late ? null : prepared.judged.state?.otherManagers) ?? facts.otherManagers;
  // In the order of their deadlines already.
  return facts.rotations
    .filter(({ notBeforeMs, origin }) => notBeforeMs <= nowMs && mayRotate(gates.policy, others, origin))
    .slice(0, MAX_ROTATIONS);
}
