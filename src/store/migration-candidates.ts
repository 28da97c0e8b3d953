import type { Guid } from '../protocol/guid.js';
import { LIMITS, type OtherManager } from '../protocol/vocabulary.js';
import type { MigrationCandidate } from './policy-store.js';

/** Rows that one client can bring in a report: a query that reads so many a client cuts none in two. */
export const MAX_KEYS_OF_A_CLIENT = LIMITS.volumesPerMessage * LIMITS.protectorsPerVolume;

/** One present key of a client. */
export interface CandidateKey {
  readonly clientId: Guid;
  readonly otherManagers: readonly OtherManager[];
  readonly volumeId: Guid;
  readonly keyId: Guid;
}

/** Rows in the order of their clients as clients, at most `limit`. */
export function candidatesOf(rows: readonly CandidateKey[], limit: number): MigrationCandidate[] {
  const clients = new Map<Guid, CandidateKey[]>();
  for (const row of rows) {
    const keys = clients.get(row.clientId);
    if (keys !== undefined) keys.push(row);
    else if (clients.size < limit) clients.set(row.clientId, [row]);
  }
  return [...clients].map(([clientId, keys]) => ({
    clientId,
    otherManagers: keys[0]?.otherManagers ?? [],
    keys: keys.map(({ volumeId, keyId }) => ({ volumeId, keyId })),
  }));
}
