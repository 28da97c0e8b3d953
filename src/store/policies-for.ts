import { POLICY_MODES, type PolicyMode } from '../protocol/vocabulary.js';
import type { PolicyRow } from './rows.js';

/** What decides which policies reach a client. */
export interface PolicyTarget {
  /** Of the enrolment token or the operator that let it in; '' = none. */
  readonly tag: string;
}

/**
 * The policies that apply to a client: deployed, and for all clients, for its tag, or with a ring of
 * its tag that was opened. A ring that paused keeps what it has: a client never loses the policy
 * under which its keys are taken because other machines fail.
 */
export function policiesFor(policies: readonly PolicyRow[], client: PolicyTarget): readonly PolicyRow[] {
  return policies.filter((policy) => {
    if (policy.state !== 'DEPLOYED') return false;
    if (policy.rings.length === 0) return policy.targetTag === null || policy.targetTag === client.tag;
    return policy.rings.some((ring) => ring.state !== 'CLOSED' && ring.tag === client.tag);
  });
}

/** Several policies as the one that a client sees: what any of them takes is taken. */
export interface EffectivePolicy {
  /** The strongest. */
  readonly mode: PolicyMode;
  /** The shortest. */
  readonly checkIntervalMinutes: number;
  readonly storePackages: boolean;
  readonly removableDrives: boolean;
  readonly tpmOwnerAuth: boolean;
  readonly mbamMigration: boolean;
  readonly rotateBesideOthers: boolean;
  /** The client's ring is paused wherever a policy manages it: nothing new is begun. */
  readonly paused: boolean;
}

/** Puts the policies of one client together; null where none applies. Those that only observe take nothing. */
export function effectivePolicy(
  applying: readonly PolicyRow[],
  client: PolicyTarget,
): EffectivePolicy | null {
  if (applying.length === 0) return null;
  const escrowing = applying.filter((policy) => policy.mode !== 'OBSERVE');
  const managing = applying.filter((policy) => policy.mode === 'MANAGE');
  const strongest = Math.max(...applying.map((policy) => POLICY_MODES.indexOf(policy.mode)));
  return {
    mode: POLICY_MODES[strongest] ?? 'OBSERVE',
    checkIntervalMinutes: Math.min(...applying.map((policy) => policy.checkIntervalMinutes)),
    storePackages: escrowing.some((policy) => policy.storePackages),
    removableDrives: escrowing.some((policy) => policy.removableDrives),
    tpmOwnerAuth: escrowing.some((policy) => policy.tpmOwnerAuth),
    mbamMigration: managing.some((policy) => policy.mbamMigration),
    rotateBesideOthers: escrowing.some((policy) => policy.rotateBesideOthers),
    paused:
      managing.length > 0 &&
      managing.every(({ rings }) => rings.some((ring) => ring.tag === client.tag && ring.state === 'PAUSED')),
  };
}
