import { MpeError } from '../../ops/errors.js';
import { newGuid, type Guid } from '../../protocol/guid.js';
import type { PolicyEvent } from '../../store/policy-store.js';
import type { PolicyRow, SiteStore } from '../../store/site-store.js';
import {
  POLICY_DEFAULTS,
  policySettings,
  ringsOf,
  settingsOf,
  type PolicySettingsInput,
} from './settings.js';

/**
 * The life of a policy: DRAFT → DEPLOYED → RETIRED. A draft applies to nobody. Deploying turns the
 * recovery service on for its clients, retiring turns it off for good; settings may change in between
 * and reach each client with its next check-in.
 */

/** Who changes a policy, and when. */
export interface PolicyActor {
  readonly by: string;
  readonly atMs: number;
  /** The change is made of this revision alone. Absent: of whatever the policy is. */
  readonly revision?: number;
  /**
   * Writes the audit row of a change before it is made; what it throws stops the change. Called again
   * with `Failed` where another change was first, so that this one did not come about as it was told.
   */
  readonly record?: (change: PolicyChange, result: 'Successful' | 'Failed') => Promise<void>;
}

/** How often a change is tried again on what another change made of the policy. */
const TRIES = 10;

/**
 * Makes a draft.
 *
 * @throws MpeError VALUE_INVALID for settings; NAME taken counts as one.
 */
export async function createPolicy(
  store: SiteStore,
  input: PolicySettingsInput,
  actor: PolicyActor,
): Promise<PolicyRow> {
  const settings = policySettings({ ...POLICY_DEFAULTS, ...input });
  await refuseTakenName(store, settings.name, null);
  const policy: PolicyRow = {
    ...settings,
    policyId: newGuid(),
    createdAtMs: actor.atMs,
    state: 'DRAFT',
    revision: 1,
    deployedAtMs: null,
    retiredAtMs: null,
    rings: ringsOf(settings, []),
  };
  if (!(await write(store, { event: 'CREATED', detail: describe(input), policy }, actor)))
    throw new MpeError('INTERNAL', 'a new policy id was taken');
  return policy;
}

/**
 * Changes settings of a policy that is not retired.
 *
 * @throws MpeError VALUE_INVALID; POLICY_CHANGED as {@link update}
 */
export async function changePolicy(
  store: SiteStore,
  policyId: Guid,
  change: PolicySettingsInput,
  actor: PolicyActor,
): Promise<PolicyRow> {
  return update(store, policyId, actor, async (policy) => {
    refuseRetired(policy);
    const settings = policySettings({ ...settingsOf(policy), ...change });
    if (settings.name !== policy.name) await refuseTakenName(store, settings.name, policyId);
    return {
      event: 'CHANGED',
      detail: describe(change),
      policy: { ...policy, ...settings, rings: ringsOf(settings, policy.rings) },
    };
  });
}

/** Lets a draft apply. A policy that is deployed already stays as it is. */
export async function deployPolicy(store: SiteStore, policyId: Guid, actor: PolicyActor): Promise<PolicyRow> {
  return update(store, policyId, actor, (policy) => {
    refuseRetired(policy);
    if (policy.state === 'DEPLOYED') return null;
    const deployed = { ...policy, state: 'DEPLOYED' as const, deployedAtMs: actor.atMs };
    return { event: 'DEPLOYED', detail: '', policy: deployed };
  });
}

/** Ends a policy for good; its clients keep what other policies give them. */
export async function retirePolicy(store: SiteStore, policyId: Guid, actor: PolicyActor): Promise<PolicyRow> {
  return update(store, policyId, actor, (policy) => {
    if (policy.state === 'RETIRED') return null;
    const retired = { ...policy, state: 'RETIRED' as const, retiredAtMs: actor.atMs };
    return { event: 'RETIRED', detail: '', policy: retired };
  });
}

/** A change, or null: nothing is to be done. */
export interface PolicyChange {
  readonly event: PolicyEvent;
  readonly detail: string;
  readonly policy: PolicyRow;
}

/**
 * Reads, changes and writes a policy; where another change came in between, all of it again.
 *
 * @throws MpeError VALUE_INVALID where there is no such policy, or from `change`; POLICY_CHANGED where the
 *   actor names another revision than the policy has
 */
export async function update(
  store: SiteStore,
  policyId: Guid,
  actor: PolicyActor,
  change: (policy: PolicyRow) => PolicyChange | null | Promise<PolicyChange | null>,
): Promise<PolicyRow> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const policy = (await store.readPolicies()).find((row) => row.policyId === policyId);
    if (policy === undefined) throw new MpeError('VALUE_INVALID', `there is no policy ${policyId}`);
    refuseRevision(policy, actor);
    const changed = await change(policy);
    if (changed === null) return policy;
    const next = { ...changed.policy, revision: policy.revision + 1 };
    if (await write(store, { ...changed, policy: next }, actor)) return next;
  }
  throw new MpeError('STORE_TRANSIENT', 'the policy was changed by others again and again; try again');
}

/** Writes a change with its audit row. False where another one was first. */
async function write(store: SiteStore, change: PolicyChange, actor: PolicyActor): Promise<boolean> {
  const { event, detail, policy } = change;
  await actor.record?.(change, 'Successful');
  const saved = await store.policy.save(policy, { event, detail, by: actor.by, atMs: actor.atMs });
  if (!saved) await actor.record?.(change, 'Failed');
  return saved;
}

/**
 * A policy by its id or its name.
 *
 * @throws MpeError VALUE_INVALID where there is none, or several that are not retired
 */
export async function findPolicy(store: SiteStore, idOrName: string): Promise<PolicyRow> {
  const policies = await store.readPolicies();
  const wanted = idOrName
    .trim()
    .toLowerCase()
    .replace(/^\{|\}$/g, '');
  const byId = policies.find((policy) => policy.policyId === wanted);
  if (byId !== undefined) return byId;
  const named = policies.filter((policy) => policy.name.toLowerCase() === wanted);
  const living = named.filter((policy) => policy.state !== 'RETIRED');
  const [one] = living.length > 0 ? living : named;
  if (one === undefined)
    throw new MpeError('VALUE_INVALID', `there is no policy "${idOrName}"; see "mpe policy list"`);
  if (living.length > 1 || (living.length === 0 && named.length > 1))
    throw new MpeError('VALUE_INVALID', `several policies are named "${idOrName}"; give the id`);
  return one;
}

function refuseRevision(policy: PolicyRow, { revision }: PolicyActor): void {
  if (revision === undefined || revision === policy.revision) return;
  throw new MpeError(
    'POLICY_CHANGED',
    `the policy "${policy.name}" is at revision ${policy.revision}, not ${revision}: read it again, and change that`,
  );
}

function refuseRetired(policy: PolicyRow): void {
  if (policy.state === 'RETIRED')
    throw new MpeError(
      'VALUE_INVALID',
      `the policy "${policy.name}" is retired for good; create another one`,
    );
}

async function refuseTakenName(store: SiteStore, name: string, except: Guid | null): Promise<void> {
  const taken = (await store.readPolicies()).some(
    (policy) =>
      policy.policyId !== except &&
      policy.state !== 'RETIRED' &&
      policy.name.toLowerCase() === name.toLowerCase(),
  );
  if (taken)
    throw new MpeError(
      'VALUE_INVALID',
      `name: a policy "${name}" is there already; give another name, or change that one`,
    );
}

/** What was said, for the history. */
function describe(input: PolicySettingsInput): string {
  return Object.entries(input)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
    .slice(0, 1000);
}
