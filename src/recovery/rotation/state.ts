import { assertNever } from '../../ops/errors.js';
import type { RotationClosing } from '../../store/rotation-store.js';

/** The states of a rotation, as they are shown. */
export const ROTATION_STATES = [
  /** A key is exposed and no client has been told. */
  'REQUIRED',
  /** A reply to a client that proved the key carried the command, after the last exposure. */
  'DELIVERED',
  /** E1: a new key, never exposed, is committed; the exposed one is not gone yet. */
  'ESCROWED',
  /** E1 and E2. */
  'COMPLETED',
  /** The site may lack the key that the drive has now: one is reported or claimed and not committed. */
  'AT_RISK',
  /** The client said that it failed; the command stays. */
  'FAILED',
  /** The machine has another OS volume in a new epoch; nobody has the old one any more. */
  'REPLACED',
  /** An operator gave it up; the key stays exposed. */
  'ABANDONED',
] as const;
export type RotationState = (typeof ROTATION_STATES)[number];

/** What is known of a rotation, each a fact that `evidence.ts` reads from what clients sent. */
export interface RotationEvidence {
  /** How the request was closed; closed is closed. */
  readonly closed: RotationClosing | null;
  /** E1: a key ID of the volume that was never exposed was committed after the exposure. */
  readonly newKeyCommitted: boolean;
  /** E2: a client that proved the exposed key reports the volume without it, after the exposure. */
  readonly exposedKeyGone: boolean;
  /** The key is gone from one client that had it and not from another. */
  readonly heldElsewhere: boolean;
  /** Every client that proved the key and still lists it has another OS volume in a new epoch. */
  readonly osVolumeReplaced: boolean;
  /** A key ID is reported or claimed as new and the site cannot read it. */
  readonly newKeyUncommitted: boolean;
  /** The newest claim since the exposure is FAILED. */
  readonly failed: boolean;
  /** The command was in a reply since the last exposure. */
  readonly delivered: boolean;
}

/** The state that evidence comes to. Pure; the first that holds counts. */
export function rotationState(evidence: RotationEvidence): RotationState {
  switch (evidence.closed) {
    case 'COMPLETED':
    case 'REPLACED':
    case 'ABANDONED':
      return evidence.closed;
    case null:
      return openState(evidence);
    default:
      return assertNever(evidence.closed);
  }
}

function openState(evidence: RotationEvidence): Exclude<RotationState, 'ABANDONED'> {
  const { newKeyCommitted, exposedKeyGone, heldElsewhere } = evidence;
  if (newKeyCommitted && exposedKeyGone && !heldElsewhere) return 'COMPLETED';
  if (evidence.osVolumeReplaced) return 'REPLACED';
  if (newKeyCommitted) return 'ESCROWED';
  // The exposed key gone without a new one committed: whatever the drive has now, the site lacks it.
  if (evidence.newKeyUncommitted || exposedKeyGone) return 'AT_RISK';
  if (evidence.failed) return 'FAILED';
  return evidence.delivered ? 'DELIVERED' : 'REQUIRED';
}

/** The states in which a request is closed by evidence alone; `ABANDONED` is an operator's word. */
export function closesAs(state: RotationState): Exclude<RotationClosing, 'ABANDONED'> | null {
  return state === 'COMPLETED' || state === 'REPLACED' ? state : null;
}
