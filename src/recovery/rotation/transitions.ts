import type { RotationState } from './state.js';

/** One way from a state to another, and what it takes. */
export interface RotationTransition {
  readonly from: RotationState;
  readonly to: RotationState;
  /** What came to be known. */
  readonly evidence: string;
}

const DELIVERED = 'a reply to a client that proved the key carried the command';
const E1 =
  'E1: a new key ID of the volume, never exposed, is committed by a client that proved the exposed one';
const E2 =
  'E1 and E2: such a client reports the volume without the exposed key by a rank above the exposure’s';
const AT_RISK =
  'a key ID is reported or claimed as new, or the exposed one is gone, and nothing new is committed';
const FAILED = 'the newest claim since the exposure is FAILED';
const EXPOSED = 'a key of the volume is exposed again: next round';
const REPLACED = 'every client that had the key has another OS volume in a new epoch';
const ABANDONED = 'an operator gives it up';
const DAMAGED = 'no copy of the new key can be read any more';
const WITHDRAWN = 'the newest report and claim name no such key any more';
const CLAIMED = 'a newer claim than FAILED';

const ends = (from: RotationState): RotationTransition[] => [
  { from, to: 'COMPLETED', evidence: E2 },
  { from, to: 'REPLACED', evidence: REPLACED },
  { from, to: 'ABANDONED', evidence: ABANDONED },
];

/**
 * Every transition of a request. What is not here does not happen; `COMPLETED`, `REPLACED` and
 * `ABANDONED` are final once the request is closed. Until the keeper has closed it, a request whose
 * evidence holds can still go back, because a key was exposed again.
 */
export const ROTATION_TRANSITIONS: readonly RotationTransition[] = [
  { from: 'REQUIRED', to: 'DELIVERED', evidence: DELIVERED },
  { from: 'REQUIRED', to: 'ESCROWED', evidence: E1 },
  { from: 'REQUIRED', to: 'AT_RISK', evidence: AT_RISK },
  { from: 'REQUIRED', to: 'FAILED', evidence: FAILED },
  ...ends('REQUIRED'),
  { from: 'DELIVERED', to: 'REQUIRED', evidence: EXPOSED },
  { from: 'DELIVERED', to: 'ESCROWED', evidence: E1 },
  { from: 'DELIVERED', to: 'AT_RISK', evidence: AT_RISK },
  { from: 'DELIVERED', to: 'FAILED', evidence: FAILED },
  ...ends('DELIVERED'),
  { from: 'FAILED', to: 'REQUIRED', evidence: EXPOSED },
  { from: 'FAILED', to: 'DELIVERED', evidence: CLAIMED },
  { from: 'FAILED', to: 'AT_RISK', evidence: AT_RISK },
  { from: 'FAILED', to: 'ESCROWED', evidence: E1 },
  ...ends('FAILED'),
  { from: 'AT_RISK', to: 'REQUIRED', evidence: EXPOSED },
  { from: 'AT_RISK', to: 'DELIVERED', evidence: WITHDRAWN },
  { from: 'AT_RISK', to: 'FAILED', evidence: FAILED },
  { from: 'AT_RISK', to: 'ESCROWED', evidence: E1 },
  ...ends('AT_RISK'),
  { from: 'ESCROWED', to: 'REQUIRED', evidence: EXPOSED },
  { from: 'ESCROWED', to: 'AT_RISK', evidence: DAMAGED },
  { from: 'ESCROWED', to: 'DELIVERED', evidence: DAMAGED },
  { from: 'ESCROWED', to: 'FAILED', evidence: DAMAGED },
  ...ends('ESCROWED'),
  { from: 'COMPLETED', to: 'REQUIRED', evidence: `${EXPOSED}, before the request was closed` },
  { from: 'COMPLETED', to: 'AT_RISK', evidence: `${EXPOSED}, before the request was closed` },
  { from: 'COMPLETED', to: 'ESCROWED', evidence: 'another client that has the key reports it' },
  { from: 'COMPLETED', to: 'REPLACED', evidence: `the evidence of COMPLETED fell away; ${REPLACED}` },
  { from: 'REPLACED', to: 'REQUIRED', evidence: `${EXPOSED}, before the request was closed` },
  { from: 'REPLACED', to: 'COMPLETED', evidence: E2 },
  ...(['DELIVERED', 'FAILED', 'AT_RISK', 'ESCROWED'] as const).map((to) => ({
    ...{ from: 'REPLACED' as const, to },
    evidence: 'a client that has the key reports the volume again',
  })),
];

/** Whether a request may go from one state to another; staying is no transition. */
export function isRotationTransition(from: RotationState, to: RotationState): boolean {
  return ROTATION_TRANSITIONS.some((one) => one.from === from && one.to === to);
}
