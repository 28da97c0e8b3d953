import { newGuid, type Guid } from '../../protocol/guid.js';
import type {
  RotationDemand,
  RotationOpened,
  RotationOrigin,
  RotationStore,
} from '../../store/rotation-store.js';

const HOUR_MS = 3_600_000;
/** Demands written in one transaction. */
const BATCH = 100;

/** What is to be rotated. */
export type RotationTarget = { readonly volumeId: Guid } | { readonly clientId: Guid };

/** How rotations are asked for. */
export interface RotationTerms {
  readonly origin: RotationOrigin;
  /** A person, or the process that asks by itself. */
  readonly requestedBy: string;
  readonly nowMs: number;
  /** From when on clients may be told; default: now. */
  readonly startMs?: number;
  /** After which time it is overdue, counted from its turn. */
  readonly deadlineMs: number;
  /** Targets whose turn comes in an hour; null: all at once. */
  readonly perHour: number | null;
}

/** When the n-th of a paced list has its turn. */
export function turnMs(n: number, terms: RotationTerms): number {
  const startMs = terms.startMs ?? terms.nowMs;
  return terms.perHour === null ? startMs : startMs + Math.floor((n * HOUR_MS) / terms.perHour);
}

/** A demand for one key: it counts as exposed from now on, for the reason that `origin` names. */
export function rotationDemand(
  key: { readonly volumeId: Guid; readonly keyId: Guid },
  notBeforeMs: number,
  terms: RotationTerms,
): RotationDemand {
  return {
    requestId: newGuid(),
    exposureId: newGuid(),
    volumeId: key.volumeId,
    keyId: key.keyId,
    origin: terms.origin,
    requestedBy: terms.requestedBy,
    deadlineMs: notBeforeMs + terms.deadlineMs,
    notBeforeMs,
    atMs: terms.nowMs,
    evenAbsent: false,
  };
}

/**
 * Asks for the rotation of every key that the targets have now: of a volume, of a machine, of a list of
 * them, paced. A target without a key that its client proved asks for nothing.
 */
export async function requestRotations(
  store: RotationStore,
  targets: readonly RotationTarget[],
  terms: RotationTerms,
): Promise<readonly RotationOpened[]> {
  const opened: RotationOpened[] = [];
  let waiting: RotationDemand[] = [];
  const write = async (): Promise<void> => {
    if (waiting.length > 0) opened.push(...(await store.open(waiting)));
    waiting = [];
  };
  let turn = 0;
  for (const target of targets) {
    const keys = await store.presentKeys(target);
    const notBeforeMs = turnMs(turn, terms);
    if (keys.length > 0) turn += 1;
    waiting.push(...keys.map((key) => rotationDemand(key, notBeforeMs, terms)));
    if (waiting.length >= BATCH) await write();
  }
  await write();
  return distinct(opened);
}

/**
 * Asks for the rotation of given keys, one turn each: MBAM migration (keys that another manager had
 * count as exposed, cause `MIGRATION`), and what else comes as a list of keys.
 */
export async function requestKeyRotations(
  store: RotationStore,
  keys: readonly { readonly volumeId: Guid; readonly keyId: Guid }[],
  terms: RotationTerms,
): Promise<readonly RotationOpened[]> {
  const opened: RotationOpened[] = [];
  for (let from = 0; from < keys.length; from += BATCH) {
    const part = keys.slice(from, from + BATCH);
    opened.push(
      ...(await store.open(part.map((key, n) => rotationDemand(key, turnMs(from + n, terms), terms)))),
    );
  }
  return distinct(opened);
}

/** A key that several clients have is one. */
function distinct(opened: readonly RotationOpened[]): RotationOpened[] {
  return [...new Map(opened.map((one) => [`${one.volumeId}/${one.keyId}`, one])).values()];
}
