import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import type { SiteStore } from '../../store/site-store.js';
import type { Tried } from './open-all.js';

/**
 * Marks generations whose own bytes are at fault, so that their machines are asked for the key again.
 * Their data key opened and vouches for the certificate. Somebody waits for a key: a mark that cannot
 * be written now is left to the canary.
 */
export async function markBad(
  {
    store,
    clock,
    log,
  }: { readonly store: Pick<SiteStore, 'markDamaged'>; readonly clock: Clock; readonly log: Logger },
  tried: readonly Tried[],
): Promise<void> {
  for (const { secret, opened } of tried) {
    for (const { generation, reason } of opened.bad) {
      const { keyId, volumeId, kind, secretId } = secret.identity;
      log.error(
        { event: 'disclosure.secret_damaged', keyId, volumeId, kind, generation, reason },
        'a stored secret that was asked for does not open',
      );
      try {
        await store.markDamaged(secretId, generation, reason, clock.now());
      } catch (error) {
        if (!isMpeError(error)) throw error;
        log.warn({ event: 'disclosure.not_marked', keyId, generation, error });
      }
    }
  }
}
