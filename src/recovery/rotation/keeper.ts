/**
 * The keeper: closes rotations whose evidence holds, finds what needs one again, and counts (design §7).
 *
 * Invariants
 *  K1  A request is closed as COMPLETED only on E1 and E2, read in the round in which it is closed: an
 *      exposure in between leaves it open (`RotationStore.close`).
 *  K2  Running it twice, or in two processes, comes to the same: who closes second closes nothing.
 *  K3  A key that came back (an old image, a restored snapshot) gets a new request, for it is exposed and
 *      in a proven client's current set; what an operator abandoned does not.
 *  K4  A fault of the database ends the round and loses nothing; the next one reads all open requests
 *      again. Closed ones are never read.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type {
  ExposurePosition,
  ReturnedKey,
  RotationClosure,
  RotationFacts,
  RotationPosition,
  RotationStore,
} from '../../store/rotation-store.js';
import type { Alarms } from '../alarms.js';
import { evidenceOf } from './evidence.js';
import type { RotationMetrics } from './metrics.js';
import { requestKeyRotations } from './request.js';
import { closesAs, ROTATION_STATES, rotationState, type RotationState } from './state.js';

/** What a keeper works with. */
export interface KeeperOptions {
  readonly store: RotationStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RotationMetrics;
  readonly alarms: Alarms;
  /** For keys that came back. */
  readonly deadlineMs: number;
}

/** What a round came to. */
export interface KeeperReport {
  readonly open: Readonly<Record<RotationState, number>>;
  readonly overdue: number;
  readonly completed: number;
  readonly replaced: number;
  /** Keys that came back and got a request. */
  readonly returned: number;
}

/** Requests, and exposures, read at a time. */
const PAGE = 200;
/** Pages of exposures that a round looks through: all of them, in turns. */
const RETURNED_PAGES = 10;
const BY = 'rotation keeper';

/** See the top of this file. */
export class RotationKeeper {
  readonly #o: KeeperOptions;
  /** How far the walk through the exposures has come; null: it begins anew. */
  #walk: ExposurePosition | null = null;

  constructor(options: KeeperOptions) {
    this.#o = options;
  }

  /**
   * One round over all open requests. Ends early where `signal` aborts; the counts are then left as they
   * were.
   *
   * @throws MpeError STORE_TRANSIENT, STORE_FAILED
   */
  async round(signal: AbortSignal): Promise<KeeperReport | null> {
    const returned = await this.#lookForReturned(signal);
    const open = Object.fromEntries(ROTATION_STATES.map((state) => [state, 0])) as Record<
      RotationState,
      number
    >;
    const counts = { overdue: 0, completed: 0, replaced: 0 };
    let after: RotationPosition | null = null;
    while (!signal.aborted) {
      const page = await this.#o.store.page({ open: true }, after, PAGE);
      const closed = await this.#close(page);
      for (const facts of page) {
        const state = rotationState(evidenceOf(facts));
        if (closed.has(facts.request.requestId)) {
          counts[state === 'COMPLETED' ? 'completed' : 'replaced'] += 1;
          continue;
        }
        open[state] += 1;
        if (facts.request.deadlineMs < this.#o.clock.now()) counts.overdue += 1;
      }
      const last = page.at(-1)?.request;
      if (last === undefined) return this.#report({ ...counts, open, returned });
      after = { atMs: last.deadlineMs, requestId: last.requestId };
      await breathe();
    }
    return null;
  }

  /** Closes those of a page whose evidence holds; the ids of those that it closed. */
  async #close(page: readonly RotationFacts[]): Promise<ReadonlySet<string>> {
    const { store, clock, log } = this.#o;
    const closures = page.flatMap((facts): RotationClosure[] => {
      const evidence = evidenceOf(facts);
      const as = closesAs(rotationState(evidence));
      if (as === null) return [];
      const { requestId, round } = facts.request;
      const reason = evidence.newKeyId === null ? '' : `new key ID ${evidence.newKeyId}`;
      return [{ requestId, round, as, by: BY, reason, atMs: clock.now() }];
    });
    const closed = new Set(closures.length === 0 ? [] : await store.close(closures));
    for (const { requestId, as, reason } of closures) {
      if (closed.has(requestId)) log.info({ event: 'rotation.closed', requestId, as, reason });
    }
    return closed;
  }

  /** Exposed keys in a current set again, without an open request: each gets one. */
  async #lookForReturned(signal: AbortSignal): Promise<number> {
    const { store, clock, deadlineMs, log } = this.#o;
    let count = 0;
    for (let page = 0; page < RETURNED_PAGES && !signal.aborted; page += 1) {
      const { keys, next } = await store.returned(this.#walk, PAGE);
      for (const { cause, ...key } of distinct(keys)) {
        // Asked for as it was before: a policy tells rotations by why they are asked for.
        const terms = { origin: cause, requestedBy: BY, nowMs: clock.now(), deadlineMs, perHour: null };
        const [asked] = await requestKeyRotations(store, [key], terms);
        if (asked?.opened !== true) continue;
        count += 1;
        log.warn({ event: 'rotation.key_returned', ...key, requestId: asked.requestId });
      }
      this.#walk = next;
      if (next === null) break;
    }
    return count;
  }

  #report(report: KeeperReport): KeeperReport {
    const { metrics, alarms } = this.#o;
    for (const state of ROTATION_STATES) metrics.open.set({ state }, report.open[state]);
    metrics.overdue.set(report.overdue);
    metrics.closed.inc({ as: 'COMPLETED' }, report.completed);
    metrics.closed.inc({ as: 'REPLACED' }, report.replaced);
    metrics.returned.inc(report.returned);
    if (report.overdue === 0) alarms.clear('ROTATIONS_OVERDUE');
    else
      alarms.raise(
        'ROTATIONS_OVERDUE',
        `${report.overdue} exposed keys are not replaced by their deadline: mpe rotations list --overdue`,
      );
    if (report.open.AT_RISK === 0) alarms.clear('ROTATIONS_AT_RISK');
    else
      alarms.raise(
        'ROTATIONS_AT_RISK',
        `${report.open.AT_RISK} drives may have a key that the site lacks: mpe rotations list --state AT_RISK`,
      );
    return report;
  }
}

const distinct = (keys: readonly ReturnedKey[]): ReturnedKey[] => [
  ...new Map(keys.map((key) => [`${key.volumeId}/${key.keyId}`, key])).values(),
];
