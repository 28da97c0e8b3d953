import type { Clock } from '../ops/clock.js';
import { isMpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import type { DataKeyRow } from '../secrets/types.js';
import type { SiteStore } from '../store/site-store.js';
import type { DataKeyCache } from './data-key-cache.js';
import { ownRows } from './own-rows.js';
import { isSentinelKey, sentinelOf, sentinelRow } from './sentinel.js';

/** What the check needs. */
export interface SentinelCheck {
  readonly store: Pick<SiteStore, 'readDataKeys' | 'insertDataKey'>;
  readonly keys: DataKeyCache;
  readonly keeper: CertificateKeeper;
  /** The one that the site document names. */
  readonly certificate: CertificatePublic;
  readonly siteGuid: Guid;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reads the sentinel from the database and opens it; writes it where there is none: the first start
 * with this certificate, or a database restored from before it.
 *
 * @returns the rows of all data keys, and what is wrong with the sentinel, null: nothing
 */
export async function checkSentinel(
  check: SentinelCheck,
): Promise<{ readonly rows: ReadonlyMap<Guid, DataKeyRow>; readonly problem: string | null }> {
  const { store, keys, keeper, certificate, siteGuid, clock, log } = check;
  const own = { siteGuid, keeper, thumbprint: certificate.thumbprint };
  const sentinel = sentinelOf(siteGuid, certificate.thumbprint);
  let rows = ownRows(await store.readDataKeys(), own);
  if (!rows.has(sentinel.dataKeyId)) {
    await store.insertDataKey(await sentinelRow(siteGuid, certificate, clock.now()));
    log.info({ event: 'canary.sentinel_written', dataKeyId: sentinel.dataKeyId });
    rows = ownRows(await store.readDataKeys(), own);
  }
  keys.useRows(rows);
  // From its row, never from memory.
  keys.forget(sentinel.dataKeyId);
  try {
    const opened = await keys.dataKey(sentinel.dataKeyId);
    return { rows, problem: isSentinelKey(sentinel, opened) ? null : 'opens to something else' };
  } catch (error) {
    if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
    return { rows, problem: `does not open (${String(error.facts['reason'])})` };
  } finally {
    keys.forget(sentinel.dataKeyId);
  }
}
