import { isMpeError } from '../../ops/errors.js';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import { newGuid } from '../../protocol/guid.js';
import { mayRotate } from '../../store/may-rotate.js';
import { effectivePolicy } from '../../store/policies-for.js';
import type { RotationDemand } from '../../store/rotation-store.js';
import type { PolicyRing, PolicyRow, SiteStore } from '../../store/site-store.js';
import { ringSteps } from './ring-rules.js';
import { openRing, pauseRing } from './rings.js';

/** How the watch works. */
export interface RingWatchOptions {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Name of this process in the history. */
  readonly by: string;
}

/** Turns of the watch in an hour, about: what an hour may begin is spread over them. */
export const TURNS_AN_HOUR = 60;
const HOUR_MS = 3_600_000;
/** A migrated key is to be replaced within this time. */
const MIGRATION_DEADLINE_MS = 14 * 24 * HOUR_MS;

/** What one turn did. */
export interface RingTurn {
  readonly paused: number;
  readonly opened: number;
  /** Keys whose rotation was begun. */
  readonly begun: number;
}

/**
 * One turn over the rings of all deployed policies: pauses what fails, opens what may follow, then
 * begins the rotations that a migration owes in the rings that are open, within the pace of each.
 * Safe to run in several processes: revisions decide over rings, and a key has one open request.
 */
export async function watchRings(options: RingWatchOptions): Promise<RingTurn> {
  const { store, clock, log, by } = options;
  const turn = { paused: 0, opened: 0, begun: 0 };
  const deployed = (await store.readPolicies()).filter(
    (policy) => policy.state === 'DEPLOYED' && policy.rings.length > 0,
  );
  if (deployed.length === 0) return turn;
  const counts = await store.policy.ringCounts();
  for (const policy of deployed) {
    const actor = { by, atMs: clock.now() };
    for (const step of ringSteps(policy, counts, actor.atMs)) {
      const facts = { policy: policy.name, ring: step.position };
      try {
        if (step.do === 'pause') {
          await pauseRing(store, policy.policyId, step.position, step.reason, actor);
          turn.paused += 1;
          log.error({ event: 'policy.ring_paused', ...facts, cause: step.reason }, 'a ring paused by itself');
        } else {
          await openRing(store, policy.policyId, step.position, actor);
          turn.opened += 1;
          log.info({ event: 'policy.ring_opened', ...facts }, 'the ring before it is fine: a ring opened');
        }
      } catch (error) {
        // Somebody changed the policy in between; the next turn looks again.
        if (!isMpeError(error, 'VALUE_INVALID')) throw error;
        log.info({ event: 'policy.ring_step_moot', ...facts, error });
      }
    }
  }
  for (const policy of await store.readPolicies()) {
    if (policy.state !== 'DEPLOYED' || policy.mode !== 'MANAGE' || !policy.mbamMigration) continue;
    for (const ring of policy.rings) {
      if (ring.state === 'OPEN') turn.begun += await begin(policy, ring, options);
    }
  }
  return turn;
}

/** The name in which a ring's rotations are asked for. */
export function ringRequester(policy: PolicyRow, ring: PolicyRing): string {
  return `policy ${policy.policyId} ring ${ring.position}`;
}

/** Begins what the pace of a ring allows now. */
async function begin(
  policy: PolicyRow,
  ring: PolicyRing,
  { store, clock, log }: RingWatchOptions,
): Promise<number> {
  const atMs = clock.now();
  const requestedBy = ringRequester(policy, ring);
  const left = ring.rotationsPerHour - (await store.policy.begunSince(requestedBy, atMs - HOUR_MS));
  const room = Math.min(left, Math.ceil(ring.rotationsPerHour / TURNS_AN_HOUR));
  if (room <= 0) return 0;
  const candidates = await store.policy.migrationCandidates(ring.tag, {
    besideOthers: policy.rotateBesideOthers,
    limit: room,
  });
  const own = effectivePolicy([policy], { tag: ring.tag });
  const demands: RotationDemand[] = [];
  for (const { otherManagers, keys } of candidates) {
    // A machine's keys go together, or those left over would count as migrated with their volume.
    if (demands.length >= room) break;
    if (!mayRotate(own, otherManagers, 'MIGRATION')) continue;
    for (const { volumeId, keyId } of keys) {
      demands.push({
        ...{ requestId: newGuid(), exposureId: newGuid(), volumeId, keyId, origin: 'MIGRATION', requestedBy },
        ...{ deadlineMs: atMs + MIGRATION_DEADLINE_MS, notBeforeMs: atMs, atMs, evenAbsent: false },
      });
    }
  }
  if (demands.length === 0) return 0;
  const opened = (await store.rotation.open(demands)).filter((one) => one.opened).length;
  log.info({ event: 'policy.rotations_begun', policy: policy.name, ring: ring.position, opened });
  return opened;
}
