import { assertNever, MpeError } from '../../../ops/errors.js';
import { redactText } from '../../../ops/redact.js';
import { parseGuid, type Guid } from '../../../protocol/guid.js';
import type { PolicyRow } from '../../../store/rows.js';
import {
  changePolicy,
  createPolicy,
  deployPolicy,
  retirePolicy,
  type PolicyActor,
} from '../../policy/policies.js';
import { policyRecorder } from '../../policy/record-policy.js';
import { openRing, pauseRing, resumeRing } from '../../policy/rings.js';
import { policyWarnings, settingsOf } from '../../policy/settings.js';
import type { Caller, PolicyDetail, RecoveryServices, RingChange, RingLine } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** As many of the newest changes of a policy are shown. */
const HISTORY = 50;

/** Policies and their rings: the functions of the commands, each change with its audit row. */
export function policyServices({
  store,
  clock,
  log,
  disclosure,
}: ServicesContext): RecoveryServices['policies'] {
  const actorOf = ({ person, source }: Caller, revision: number | null = null): PolicyActor => ({
    ...{ by: person.name, atMs: clock.now() },
    ...(revision === null ? {} : { revision }),
    record: policyRecorder(disclosure, { name: person.name, source }),
  });
  const find = async (policyId: Guid): Promise<PolicyRow | null> =>
    (await store.readPolicies()).find((row) => row.policyId === policyId) ?? null;
  const saved = ({ person }: Caller, policy: PolicyRow): PolicyDetail => {
    const { name, state, revision } = policy;
    log.info({ event: 'policy.set', by: person.name, policy: name, state, revision });
    return detailOf(policy);
  };
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
  const ringOf = async (ringId: string): Promise<RingLine> => {
    const line = (await rings()).find((ring) => ring.ringId === ringId);
    if (line === undefined) throw new MpeError('VALUE_INVALID', `there is no ring ${ringId.slice(0, 64)}`);
    return line;
  };
  return {
    list: async () => (await store.readPolicies()).filter(({ state }) => state !== 'RETIRED').map(detailOf),
    show: async (policyId) => {
      const policy = await find(policyId);
      if (policy === null) return null;
      const events = await store.policy.events(policyId, HISTORY);
      const history = events.map(({ revision, event, detail, atMs, by }) => ({
        ...{ revision, event, detail, atMs, by },
      }));
      return { ...detailOf(policy), history };
    },
    create: async (caller, settings) => saved(caller, await createPolicy(store, settings, actorOf(caller))),
    change: async (caller, policyId, revision, settings) => {
      if ((await find(policyId)) === null) return null;
      if (Object.keys(settings).length === 0)
        throw new MpeError('VALUE_INVALID', 'the body says nothing to change: name a setting');
      return saved(caller, await changePolicy(store, policyId, settings, actorOf(caller, revision)));
    },
    deploy: async (caller, policyId, revision) => {
      if ((await find(policyId)) === null) return null;
      return saved(caller, await deployPolicy(store, policyId, actorOf(caller, revision)));
    },
    retire: async (caller, policyId, revision) => {
      if ((await find(policyId)) === null) return null;
      return saved(caller, await retirePolicy(store, policyId, actorOf(caller, revision)));
    },
    rings,
    setRing: async (caller, ringId, change, reason) => {
      const [policyId = '', position = ''] = ringId.split('.');
      if (!/^\d{1,4}$/.test(position)) throw new MpeError('VALUE_INVALID', `there is no ring ${ringId}`);
      const place = { policyId: parseGuid(policyId), position: Number(position) };
      const named = `${place.policyId}.${place.position}`;
      // Of a retired policy nothing is changed any more.
      await ringOf(named);
      const why = redactText(reason ?? `paused by ${caller.person.name}`);
      await changeRing(store, place, change, why, actorOf(caller));
      log.info({ event: 'ring.changed', by: caller.person.name, ringId: named, change });
      return ringOf(named);
    },
  };
}

async function changeRing(
  store: ServicesContext['store'],
  { policyId, position }: { readonly policyId: Guid; readonly position: number },
  change: RingChange,
  reason: string,
  actor: PolicyActor,
): Promise<PolicyRow> {
  switch (change) {
    case 'OPEN':
      return openRing(store, policyId, position, actor);
    case 'PAUSE':
      return pauseRing(store, policyId, position, reason, actor);
    case 'RESUME':
      return resumeRing(store, policyId, position, actor);
    default:
      return assertNever(change);
  }
}

function detailOf(policy: PolicyRow): PolicyDetail {
  const { policyId, state, revision, rings, createdAtMs, deployedAtMs, retiredAtMs } = policy;
  const settings = settingsOf(policy);
  return {
    ...settings,
    ...{ policyId, state, revision, rings, createdAtMs, deployedAtMs, retiredAtMs },
    warnings: policyWarnings(settings),
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
