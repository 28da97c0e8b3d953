import type { CommitPlan } from './commit-types.js';

/**
 * A rotation result that was refused because its client never proved the key of that request, or the
 * request is closed. It changes nothing and is no evidence; the first of each client is kept beside the
 * request, where there is one, so that an operator sees who claims what.
 */
export function isForeignClaim({ effects, outcome, candidate }: CommitPlan): boolean {
  return !effects && candidate.rotation !== null && outcome?.reason === 'ROTATION_REQUEST_UNKNOWN';
}
