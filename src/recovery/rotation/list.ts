import type { Guid } from '../../protocol/guid.js';
import type { RotationFilter, RotationPosition, RotationStore } from '../../store/rotation-store.js';
import type { RotationState } from './state.js';
import { rotationView, type RotationView } from './view.js';

/** Requests read at a time. */
const PAGE = 200;

/** Which rotations to list. */
export interface RotationQuery {
  readonly open: boolean;
  readonly volumeId?: Guid;
  readonly keyId?: Guid;
  readonly clientId?: Guid;
  readonly overdue?: boolean;
  readonly states?: readonly RotationState[];
}

/**
 * Rotations with their states: open ones by deadline, closed ones the newest first. A state is worked
 * out and never stored, so a list by state reads on until it has enough.
 */
export async function listRotations(
  store: RotationStore,
  query: RotationQuery,
  limit: number,
  nowMs: number,
): Promise<readonly RotationView[]> {
  const filter: RotationFilter = {
    open: query.open,
    ...(query.volumeId === undefined ? {} : { volumeId: query.volumeId }),
    ...(query.keyId === undefined ? {} : { keyId: query.keyId }),
    ...(query.clientId === undefined ? {} : { clientId: query.clientId }),
    ...(query.overdue === true ? { dueBeforeMs: nowMs } : {}),
  };
  const found: RotationView[] = [];
  let after: RotationPosition | null = null;
  for (;;) {
    const page = await store.page(filter, after, Math.min(PAGE, Math.max(limit, 1)));
    for (const facts of page) {
      const view = rotationView(facts, nowMs);
      if (query.states === undefined || query.states.includes(view.state)) found.push(view);
      if (found.length === limit) return found;
    }
    const last = page.at(-1)?.request;
    if (last === undefined) return found;
    after = { atMs: last.closedAtMs ?? last.deadlineMs, requestId: last.requestId };
  }
}

/** One rotation; null where there is no such request. */
export async function findRotation(
  store: RotationStore,
  requestId: Guid,
  nowMs: number,
): Promise<RotationView | null> {
  const facts = await store.find(requestId);
  return facts === null ? null : rotationView(facts, nowMs);
}
