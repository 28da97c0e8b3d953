import type { Rank } from './commit-types.js';

/** Compares two ranks of one client: negative where `a` comes first. */
export function compareRanks(a: Rank, b: Rank): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (a.sequence !== b.sequence) return a.sequence < b.sequence ? -1 : 1;
  return Buffer.compare(a.digest, b.digest);
}
