import type { RotationOpening } from './rotation-store.js';

/**
 * Openings as the statements of both stores take them: one a (volume, key ID), the earlier times of
 * several, and within a volume the earliest deadline, for the volume is rotated as one.
 */
export function oneOpeningAKey<O extends RotationOpening>(openings: readonly O[]): O[] {
  const due = new Map<string, number>();
  for (const { volumeId, deadlineMs } of openings)
    due.set(volumeId, Math.min(deadlineMs, due.get(volumeId) ?? deadlineMs));
  const byKey = new Map<string, O>();
  for (const opening of openings) {
    const place = `${opening.volumeId}/${opening.keyId}`;
    const known = byKey.get(place);
    const deadlineMs = due.get(opening.volumeId) ?? opening.deadlineMs;
    const notBeforeMs = Math.min(opening.notBeforeMs, known?.notBeforeMs ?? opening.notBeforeMs);
    byKey.set(place, { ...(known ?? opening), deadlineMs, notBeforeMs });
  }
  return [...byKey.keys()].sort().flatMap((place) => byKey.get(place) ?? []);
}
