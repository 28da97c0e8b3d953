import type { RingCounts } from '../../store/policy-store.js';
import type { PolicyRing, PolicyRow } from '../../store/site-store.js';

/**
 * When a ring pauses and when the next one opens.
 *
 *  * failure rate: of the machines heard from since the ring was opened, those whose last escrow was
 *    refused, whose last rotation failed, or that report an error. While fewer than fifty were heard
 *    from, the rate is taken of fifty (or of the whole ring, where it is smaller), so that the first
 *    machine of five thousand does not stop the rest.
 *  * fine: open for its soak time, four of five machines heard from, the rate within the limit.
 *  * a ring opens by itself only where every ring before it is open and the one before it is fine.
 */

/** Least number of machines that a failure rate is taken of. */
const SAMPLE = 50;
/** Share of a ring's machines that must have been heard from before the next one opens. */
const HEARD_SHARE = 0.8;
const MINUTE_MS = 60_000;

/** Failed machines in thousandths. */
export function failureRate({ machines, heard, failed }: RingCounts): number {
  const of = Math.max(heard, Math.min(machines, SAMPLE));
  return of === 0 ? 0 : (failed * 1000) / of;
}

/** Whether a ring has to pause. */
export function failsTooMuch(ring: PolicyRing, counts: RingCounts): boolean {
  return failureRate(counts) > ring.failureLimit;
}

/** Whether an open ring lets the next one begin. */
export function isFine(ring: PolicyRing, counts: RingCounts, nowMs: number): boolean {
  return (
    ring.state === 'OPEN' &&
    ring.openedAtMs !== null &&
    nowMs >= ring.openedAtMs + ring.soakMinutes * MINUTE_MS &&
    counts.heard >= counts.machines * HEARD_SHARE &&
    !failsTooMuch(ring, counts)
  );
}

/** What the watch does with a ring. */
export type RingStep =
  | { readonly do: 'pause'; readonly position: number; readonly reason: string }
  | { readonly do: 'open'; readonly position: number };

/** The steps that a deployed policy is due, pauses first: where one pauses, nothing opens. */
export function ringSteps(policy: PolicyRow, counts: readonly RingCounts[], nowMs: number): RingStep[] {
  if (policy.state !== 'DEPLOYED') return [];
  const of = (ring: PolicyRing): RingCounts =>
    counts.find((one) => one.policyId === policy.policyId && one.position === ring.position) ?? {
      ...{ policyId: policy.policyId, position: ring.position },
      ...{ machines: 0, heard: 0, failed: 0 },
    };
  const pauses = policy.rings
    .filter((ring) => ring.state === 'OPEN' && failsTooMuch(ring, of(ring)))
    .map((ring): RingStep => ({ do: 'pause', position: ring.position, reason: reasonOf(ring, of(ring)) }));
  if (pauses.length > 0) return pauses;
  const next = policy.rings.find((ring) => ring.state !== 'OPEN');
  if (next?.state !== 'CLOSED' || next.opens !== 'AFTER_PREVIOUS') return [];
  const before = policy.rings.find((ring) => ring.position === next.position - 1);
  if (before !== undefined && !isFine(before, of(before), nowMs)) return [];
  return [{ do: 'open', position: next.position }];
}

function reasonOf(ring: PolicyRing, counts: RingCounts): string {
  return (
    `${percent(failureRate(counts))} failed (limit ${percent(ring.failureLimit)}): ` +
    `${counts.failed} of ${counts.heard} heard from, ${counts.machines} machines in the ring`
  );
}

/** Thousandths as people read them: 23 is 2.3 %. */
export function percent(thousandths: number): string {
  const value = thousandths / 10;
  return `${Number.isInteger(value) ? String(value) : value.toFixed(1)} %`;
}
