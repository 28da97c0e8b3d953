import { MpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';
import type { Guid } from '../../protocol/guid.js';
import type { PolicyRing, PolicyRow, SiteStore } from '../../store/site-store.js';
import { update, type PolicyActor } from './policies.js';

/**
 * Opens a ring by hand. Rings open in their order, and nothing opens behind one that is paused.
 *
 * @throws MpeError VALUE_INVALID
 */
export function openRing(
  store: SiteStore,
  policyId: Guid,
  position: number,
  actor: PolicyActor,
): Promise<PolicyRow> {
  return update(store, policyId, actor, (policy) => {
    const ring = ringAt(policy, position);
    refuseUndeployed(policy);
    if (ring.state === 'OPEN') return null;
    if (ring.state === 'PAUSED') throw new MpeError('VALUE_INVALID', `ring ${position} is paused: resume it`);
    const blocking = policy.rings.find((one) => one.position < position && one.state !== 'OPEN');
    if (blocking !== undefined)
      throw new MpeError(
        'VALUE_INVALID',
        `ring ${blocking.position} (${blocking.tag}) before it is ${blocking.state.toLowerCase()}: rings open in their order`,
      );
    const opened: PolicyRing = { ...ring, state: 'OPEN', openedAtMs: actor.atMs };
    return { event: 'RING_OPENED', detail: named(ring), policy: withRing(policy, opened) };
  });
}

/** Pauses an open ring: the policy goes on applying in it, nothing new is begun there or behind it. */
export function pauseRing(
  store: SiteStore,
  policyId: Guid,
  position: number,
  reason: string,
  actor: PolicyActor,
): Promise<PolicyRow> {
  return update(store, policyId, actor, (policy) => {
    const ring = ringAt(policy, position);
    if (ring.state === 'PAUSED') return null;
    if (ring.state === 'CLOSED')
      throw new MpeError('VALUE_INVALID', `ring ${position} is closed: there is nothing to pause`);
    // People paste what they see on a screen; history, audit and lists are read by many.
    const pauseReason = redactText(reason).slice(0, 500);
    const paused: PolicyRing = { ...ring, state: 'PAUSED', pausedAtMs: actor.atMs, pauseReason };
    return {
      event: 'RING_PAUSED',
      detail: `${named(ring)}: ${pauseReason}`,
      policy: withRing(policy, paused),
    };
  });
}

/** Lets a paused ring go on. Its failures are counted from now on, else it would pause at once. */
export function resumeRing(
  store: SiteStore,
  policyId: Guid,
  position: number,
  actor: PolicyActor,
): Promise<PolicyRow> {
  return update(store, policyId, actor, (policy) => {
    const ring = ringAt(policy, position);
    if (ring.state === 'OPEN') return null;
    if (ring.state === 'CLOSED') throw new MpeError('VALUE_INVALID', `ring ${position} is closed: open it`);
    const open: PolicyRing = {
      ...ring,
      ...{ state: 'OPEN', openedAtMs: actor.atMs, pausedAtMs: null, pauseReason: '' },
    };
    return { event: 'RING_RESUMED', detail: named(ring), policy: withRing(policy, open) };
  });
}

const named = (ring: PolicyRing): string => `ring ${ring.position} (${ring.tag})`;

function ringAt(policy: PolicyRow, position: number): PolicyRing {
  const ring = policy.rings.find((one) => one.position === position);
  if (ring !== undefined) return ring;
  const rings = policy.rings.length;
  throw new MpeError(
    'VALUE_INVALID',
    rings === 0
      ? `the policy "${policy.name}" has no rings; give it some with "mpe policy set --ring …"`
      : `the policy "${policy.name}" has the rings 1 to ${rings}`,
  );
}

function refuseUndeployed(policy: PolicyRow): void {
  if (policy.state !== 'DEPLOYED')
    throw new MpeError('VALUE_INVALID', `the policy "${policy.name}" is not deployed: deploy it first`);
}

function withRing(policy: PolicyRow, ring: PolicyRing): PolicyRow {
  return { ...policy, rings: policy.rings.map((one) => (one.position === ring.position ? ring : one)) };
}
