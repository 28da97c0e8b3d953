import type { PolicyRing, PolicyRow } from '../store/site-store.js';
import { table, time } from './output.js';

const yes = (value: boolean): string => (value ? 'yes' : 'no');

/** Whom a policy is for. */
export function targetOf(policy: PolicyRow): string {
  if (policy.rings.length > 0) {
    const open = policy.rings.filter((ring) => ring.state !== 'CLOSED').length;
    return `${open} of ${policy.rings.length} rings`;
  }
  return policy.targetTag === null ? 'all clients' : `tag ${policy.targetTag}`;
}

/** When a ring opens. */
export function opensText(ring: PolicyRing): string {
  return ring.opens === 'BY_HAND' ? 'by hand' : `after the one before, ${ring.soakMinutes / 60} h fine`;
}

/** A policy for people. */
export function policyLines(policy: PolicyRow): readonly string[] {
  const lines = [
    `policy               ${policy.name}  ${policy.policyId}`,
    `state                ${policy.state.toLowerCase()}, revision ${policy.revision}`,
    `mode                 ${policy.mode.toLowerCase()}`,
    `for                  ${targetOf(policy)}`,
    `recovery information ${policy.storePackages ? 'PasswordAndPackage' : 'PasswordOnly'}`,
    `removable drives     ${yes(policy.removableDrives)}`,
    `TPM owner auth       ${yes(policy.tpmOwnerAuth)}`,
    `check interval       ${policy.checkIntervalMinutes} minutes`,
    `MBAM migration       ${yes(policy.mbamMigration)}`,
    `beside others        ${policy.rotateBesideOthers ? 'rotates all the same' : 'never rotates'}`,
  ];
  if (policy.rings.length === 0) return lines;
  const rings = table(
    ['ring', 'tag', 'state', 'opens', 'failure limit', 'rotations an hour', 'since'],
    policy.rings.map((ring) => [
      String(ring.position),
      ring.tag,
      ring.state.toLowerCase(),
      opensText(ring),
      `${ring.failureLimit / 10} %`,
      String(ring.rotationsPerHour),
      ring.openedAtMs === null ? '' : time(ring.pausedAtMs ?? ring.openedAtMs),
    ]),
  );
  return [...lines, '', ...rings];
}
