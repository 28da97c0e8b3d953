import { SeededRandom } from '../support/random.js';
import { VOLUME_TYPES } from '../../src/protocol/vocabulary.js';
import { secretKindNumber } from '../../src/secrets/types.js';
import type { CommitCandidate } from '../../src/store/site-store.js';
import { candidate, hex, type MessageSpec } from './world.js';

export const RACE_CLIENTS = 12;

/**
 * Messages of a few clients that meet in the same volumes and keys: the same password again, other
 * passwords for a key id, moved disks, owner authorizations, check-ins. The same for every process.
 */
export function raceMessages(count: number, seed: number): MessageSpec[] {
  const random = new SeededRandom(seed);
  const sequences = new Map<number, number>();
  return Array.from({ length: count }, (_, n): MessageSpec => {
    const client = random.between(1, RACE_CLIENTS);
    const sequence = (sequences.get(client) ?? 0) + 1;
    sequences.set(client, sequence);
    const head = { client, message: n + 1, sequence };
    const protectors = Array.from({ length: random.between(1, 3) }, () => random.between(1, 60));
    const volume = random.between(1, 15);
    const kind = random.between(1, 10);
    if (kind === 1) return { ...head, tpm: `owner ${random.between(1, 3)}` };
    if (kind <= 3) {
      return {
        ...head,
        state: { machineName: `PC${client}`, users: [{ domain: 'D', name: `user ${n}` }] },
        volumes: [{ volume, protectors: [...new Set(protectors)].map((key) => ({ key })) }],
      };
    }
    const secrets = [...new Set(protectors)].map((key) => ({
      key,
      password: `password ${key} ${random.between(1, 2)}`,
      ...(random.between(1, 4) === 1 ? { package: `package ${key}` } : {}),
    }));
    return {
      ...head,
      volumes: [{ volume, type: random.pick(['OS', 'FIXED'] as const), protectors: secrets }],
    };
  });
}

/** What the database must hold in the end, by the rules told as plainly as can be. */
export interface RaceModel {
  readonly hash: readonly string[];
  readonly keys: number;
  readonly outcomes: number;
}

/** Applies the rules in memory. */
export function raceModel(specs: readonly MessageSpec[]): RaceModel {
  const keys = new Set<string>();
  const proofs = new Set<string>();
  const reports = new Map<string, CommitCandidate>();
  let outcomes = 0;
  for (const message of specs.map(candidate)) {
    if (message.leavesOutcome) outcomes += 1;
    for (const secret of message.secrets) {
      const columns = [
        String(secretKindNumber(secret.kind)),
        secret.keyId,
        secret.volumeId,
        secret.fingerprintKeyId,
        hex(secret.fingerprint),
      ].join(' ');
      keys.add(`keys ${columns}`);
      proofs.add(`proofs ${message.clientId} ${columns}`);
    }
    for (const volume of message.volumes) {
      const place = `${message.clientId} ${volume.volumeId}`;
      // One client's sequences are all different here, so they alone decide.
      const standing = reports.get(place);
      if (standing === undefined || standing.rank.sequence < message.rank.sequence)
        reports.set(place, message);
    }
  }
  const clients = Array.from(
    { length: RACE_CLIENTS },
    (_, n) => `clients ${candidate({ client: n + 1, message: 1, sequence: 1 }).clientId} 1`,
  );
  const reportLines = [...reports].map(([place, message]) => {
    const volume = message.volumes.find((one) => place.endsWith(one.volumeId));
    if (volume === undefined) throw new Error('a report without its volume');
    const { epoch, sequence, digest } = message.rank;
    return `reports ${place} ${VOLUME_TYPES.indexOf(volume.volumeType)} ${epoch} ${sequence} ${hex(digest)} ${volume.keyIds.join(',')}`;
  });
  const sorted = (lines: Iterable<string>): string[] => [...lines].sort();
  return {
    hash: [...sorted(clients), ...sorted(keys), ...sorted(proofs), ...sorted(reportLines)],
    keys: keys.size,
    outcomes,
  };
}
