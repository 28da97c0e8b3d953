import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import type { SecretIdentity } from '../secrets/types.js';
import type { SiteStore } from '../store/site-store.js';
import type { CanaryMetrics } from './canary-metrics.js';
import { checkSecret, type DamageReason } from './check-secret.js';
import type { DataKeyCache } from './data-key-cache.js';

/** A generation that did not open, without its content. */
export interface DamagedSecret {
  readonly identity: SecretIdentity;
  readonly generation: number;
  readonly storedAtMs: number;
  readonly reason: DamageReason;
}

/** What marking needs. */
export interface MarkContext {
  readonly store: Pick<SiteStore, 'secretsPage' | 'markDamaged'>;
  readonly keys: DataKeyCache;
  readonly fingerprintKey: FingerprintKey | null;
  readonly metrics: CanaryMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reads a secret again and marks it damaged where it fails again. From then on it does not count as
 * readable, and the next check-in of each machine that proved it is answered with `Escrow`.
 *
 * @returns whether it was marked
 */
export async function markSecret(found: DamagedSecret, context: MarkContext): Promise<boolean> {
  const { store, keys, fingerprintKey, metrics, clock, log } = context;
  const { identity, generation, reason } = found;
  const [again] = await store.secretsPage({ secretId: identity.secretId, generation: generation - 1 }, 1);
  if (again?.generation !== generation || Buffer.compare(again.identity.secretId, identity.secretId) !== 0) {
    return false;
  }
  // Marked by another process meanwhile.
  if (again.damaged) return false;
  const names = {
    ...{ keyId: identity.keyId, volumeId: identity.volumeId, kind: identity.kind, generation, reason },
    secretId: Buffer.from(identity.secretId).toString('hex'),
    storedAt: new Date(found.storedAtMs).toISOString(),
  };
  if ((await checkSecret(keys, fingerprintKey, again)).kind !== 'damaged') {
    log.error(
      { event: 'canary.unsteady', ...names },
      'a secret did not open and opens when read again: suspect the memory or the storage of this host',
    );
    return false;
  }
  await store.markDamaged(identity.secretId, generation, reason, clock.now());
  metrics.marked.inc({ reason });
  log.error(
    { event: 'canary.secret_damaged', ...names },
    'a stored secret does not open: marked, and asked for again at the next check-in of its machines',
  );
  return true;
}
