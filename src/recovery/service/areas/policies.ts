import { MpeError } from '../../../ops/errors.js';
import type { PolicyRow } from '../../../store/rows.js';
import { changePolicy, createPolicy } from '../../policy/policies.js';
import { pauseRing, resumeRing } from '../../policy/rings.js';
import { parseGuid } from '../../../protocol/guid.js';
import type { PolicyLine, RecoveryServices, RingLine } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** Policies and their rings. A new policy is a draft: it is deployed on the command line. */
export function policyServices({ store, clock, log }: ServicesContext): RecoveryServices['policies'] {
  const rings = async (): Promise<readonly RingLine[]> => {
    const counts = await store.policy.ringCounts();
    const policies = (await store.readPolicies()).filter(({ state }) => state !== 'RETIRED');
    return policies.flatMap((policy) =>
      policy.rings.map((ring) => {
        const count = counts.find(
          ({ policyId, position }) => policyId === policy.policyId && position === ring.position,
        );
        return ringLine(policy, ring, count);
      }),
    );
  };
  return {
    list: async () => (await store.readPolicies()).filter(({ state }) => state !== 'RETIRED').map(lineOf),
    set: async (caller, { mode, name, ...settings }) => {
      const actor = { by: caller.person.name, atMs: clock.now() };
      const known = (await store.readPolicies()).find(
        (row) => row.state !== 'RETIRED' && row.name.toLowerCase() === name.trim().toLowerCase(),
      );
      const input = { name, mode, ...settings };
      const saved =
        known === undefined
          ? await createPolicy(store, input, actor)
          : await changePolicy(store, known.policyId, input, actor);
      log.info({ event: 'policy.set', by: caller.person.name, policy: saved.name, revision: saved.revision });
      return lineOf(saved);
    },
    rings,
    setRing: async (caller, ringId, change) => {
      const [policyId = '', position = ''] = ringId.split('.');
      if (!/^\d{1,4}$/.test(position)) throw new MpeError('VALUE_INVALID', `there is no ring ${ringId}`);
      const actor = { by: caller.person.name, atMs: clock.now() };
      const place = [store, parseGuid(policyId), Number(position)] as const;
      if (change === 'PAUSE') await pauseRing(...place, `paused by ${caller.person.name}`, actor);
      else await resumeRing(...place, actor);
      log.info({ event: 'ring.changed', by: caller.person.name, ringId, change });
      const line = (await rings()).find((ring) => ring.ringId === ringId);
      if (line === undefined) throw new MpeError('VALUE_INVALID', `there is no ring ${ringId}`);
      return line;
    },
  };
}

function lineOf(policy: PolicyRow): PolicyLine {
  return {
    policyId: policy.policyId,
    name: policy.name,
    mode: policy.mode,
    targetTag: policy.targetTag,
    storePackages: policy.storePackages,
    removableDrives: policy.removableDrives,
    tpmOwnerAuth: policy.tpmOwnerAuth,
    checkIntervalMinutes: policy.checkIntervalMinutes,
    mbamMigration: policy.mbamMigration,
  };
}

function ringLine(
  policy: PolicyRow,
  ring: PolicyRow['rings'][number],
  count: { readonly machines: number; readonly heard: number; readonly failed: number } | undefined,
): RingLine {
  const { machines = 0, heard = 0, failed = 0 } = count ?? {};
  return {
    ringId: `${policy.policyId}.${ring.position}`,
    name: `${policy.name}, ring ${ring.position}`,
    order: ring.position,
    tag: ring.tag,
    machines,
    reached: heard,
    failed,
    failureLimit: ring.failureLimit / 10,
    state:
      ring.state === 'PAUSED'
        ? 'PAUSED'
        : ring.state === 'CLOSED'
          ? 'WAITING'
          : heard >= machines
            ? 'DONE'
            : 'RUNNING',
    detail: ring.pauseReason,
  };
}
