import type { OtherManager } from '../protocol/vocabulary.js';
import type { EffectivePolicy } from './policies-for.js';

/** Why a rotation was asked for. */
export type RotationOrigin = 'DISCLOSURE' | 'OPERATOR' | 'MIGRATION' | 'INCIDENT' | 'POLICY';

/** Why a client is not told to rotate. */
export type RotationRefusal =
  /** No policy applies to it. */
  | 'NO_POLICY'
  /** The policy only observes. */
  | 'OBSERVES'
  /** What the site begins by itself needs the mode MANAGE. */
  | 'NOT_MANAGED'
  /** The client's ring is paused: what is begun by itself waits. */
  | 'PAUSED'
  /** MBAM, a group policy or Intune manages the machine too: two that rotate lose each other's keys. */
  | 'OTHER_MANAGER';

/**
 * Whether a client may be told to rotate; null: it may.
 *
 * A key that was shown is rotated under `ESCROW` as under `MANAGE`; what a policy begins by itself
 * needs `MANAGE`. Beside another manager nothing is rotated unless the policy says so: the request
 * stays open, is listed, and is delivered once the other manager is gone.
 */
export function rotationRefusal(
  policy: EffectivePolicy | null,
  otherManagers: readonly OtherManager[],
  origin: RotationOrigin = 'DISCLOSURE',
): RotationRefusal | null {
  if (policy === null) return 'NO_POLICY';
  if (policy.mode === 'OBSERVE') return 'OBSERVES';
  if (origin === 'MIGRATION' || origin === 'POLICY') {
    if (policy.mode !== 'MANAGE') return 'NOT_MANAGED';
    if (policy.paused) return 'PAUSED';
  }
  return otherManagers.length > 0 && !policy.rotateBesideOthers ? 'OTHER_MANAGER' : null;
}

/** See {@link rotationRefusal}. */
export function mayRotate(
  policy: EffectivePolicy | null,
  otherManagers: readonly OtherManager[],
  origin: RotationOrigin = 'DISCLOSURE',
): boolean {
  return rotationRefusal(policy, otherManagers, origin) === null;
}
