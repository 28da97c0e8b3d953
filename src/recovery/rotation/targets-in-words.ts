import type { RotationTarget } from './request.js';

/** What is to be rotated, in words for the audit. */
export function targetsInWords(targets: readonly RotationTarget[], perHour: number | null): string {
  const [only] = targets;
  if (targets.length === 1 && only !== undefined)
    return 'volumeId' in only ? `volume ${only.volumeId}` : `client ${only.clientId}`;
  return `${targets.length} clients${perHour === null ? '' : `, ${perHour} an hour`}`;
}
