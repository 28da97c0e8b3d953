/**
 * The work of a change of certificate: every data key is wrapped to the new one as well. Secrets stay as
 * they are, so a million of them cost as many RSA operations as they have data keys.
 *
 * It looks at what is there and adds what is missing, some hundred wraps a transaction, so it may be killed
 * at any moment and run again, and several may run at once: the first row of a (data key, certificate) stays.
 */
import type { Clock } from '../ops/clock.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { seal } from '../jose/index.js';
import type { Guid } from '../protocol/guid.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import { chooseWraps } from '../secrets/choose-wraps.js';
import { unwrapDataKey, wrapDataKey } from '../secrets/data-key.js';
import type { DataKeyRow } from '../secrets/types.js';
import type { ArchivedSealingKeyRow, SiteStore } from '../store/site-store.js';
import { isKept, isSentinelRow } from './own-rows.js';

/** RSA runs in the threads of the runtime (four by default), the database answers meanwhile. */
const AT_ONCE = 8;
/** Wraps a transaction: a commit costs as much as several wraps, and a kill loses no more than these. */
const A_TRANSACTION = 200;

/** What re-wrapping needs. */
export interface RewrapOptions {
  readonly store: Pick<
    SiteStore,
    'readDataKeys' | 'insertDataKeyWraps' | 'readArchivedSealingKeys' | 'archiveSealingKey'
  >;
  /** Keeps the former certificates; the new one's key is not needed. */
  readonly keeper: CertificateKeeper;
  readonly siteGuid: Guid;
  /** The certificate that everything gets a wrap for. */
  readonly target: CertificatePublic;
  readonly clock: Clock;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** A data key, or an archived sealing key, that has no wrap for the new certificate after it. */
export interface NotWrapped {
  readonly id: string;
  /** CERTIFICATE_OTHER: no key here opens it; else it is damaged. */
  readonly reason: string;
}

/** What re-wrapping did. */
export interface RewrapReport {
  /** Data keys of the site, sentinels not counted. */
  readonly dataKeys: number;
  /** Wrapped by this call. */
  readonly wrapped: number;
  /** Archived sealing keys that this call wrapped. */
  readonly archived: number;
  readonly failed: readonly NotWrapped[];
}

/** Data keys that have no wrap for a certificate, one row each: one that is kept, where there is one. */
export function missingWraps(
  rows: readonly DataKeyRow[],
  siteGuid: Guid,
  thumbprint: string,
  kept: readonly string[],
): readonly DataKeyRow[] {
  const real = rows.filter((row) => !isSentinelRow(siteGuid, row));
  const done = new Set(
    real.filter((row) => row.certificateThumbprint === thumbprint).map((row) => row.dataKeyId),
  );
  return [...chooseWraps(real, kept).values()].filter((row) => !done.has(row.dataKeyId));
}

/** Adds the wraps that are missing; see the top of this file. */
export async function rewrapDataKeys(options: RewrapOptions): Promise<RewrapReport> {
  const { store, keeper, siteGuid, target, clock, onProgress, signal } = options;
  const rows = await store.readDataKeys();
  const kept = keeper.certificates().map((certificate) => certificate.thumbprint);
  const missing = missingWraps(rows, siteGuid, target.thumbprint, kept);
  const archived = missingArchive(await store.readArchivedSealingKeys(), target.thumbprint, kept);
  const total = missing.length + archived.length;
  const failed: NotWrapped[] = [];
  const counts = { dataKeys: 0, archived: 0 };
  const tell = (): void => onProgress?.(counts.dataKeys + counts.archived + failed.length, total);
  tell();

  let made: DataKeyRow[] = [];
  const write = async (): Promise<void> => {
    const batch = made;
    made = [];
    if (batch.length === 0) return;
    await store.insertDataKeyWraps(batch);
    counts.dataKeys += batch.length;
  };

  const work = [
    ...missing.map((row) => async (): Promise<void> => {
      const result = isKept(keeper, row) ? await wrapOne(row) : 'CERTIFICATE_OTHER';
      if (typeof result === 'string') failed.push({ id: row.dataKeyId, reason: result });
      else if (made.push(result) >= A_TRANSACTION) await write();
    }),
    ...archived.map((row) => async (): Promise<void> => {
      const fault = kept.includes(row.certificateThumbprint) ? await archiveOne(row) : 'CERTIFICATE_OTHER';
      if (fault === null) counts.archived += 1;
      else failed.push({ id: row.kid, reason: fault });
    }),
  ];
  const next = work.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const one of next) {
        if (signal?.aborted === true) return;
        await one();
        tell();
      }
    }),
  );
  await write();
  tell();
  const ids = new Set(rows.filter((row) => !isSentinelRow(siteGuid, row)).map((row) => row.dataKeyId));
  return { dataKeys: ids.size, wrapped: counts.dataKeys, archived: counts.archived, failed };

  /** The row to be added, or why there can be none. */
  async function wrapOne(row: DataKeyRow): Promise<DataKeyRow | string> {
    let key: Buffer;
    try {
      key = await unwrapDataKey(row, siteGuid, keeper);
    } catch (error) {
      if (isMpeError(error, 'SECRET_UNREADABLE')) return String(error.facts['reason']);
      throw error;
    }
    try {
      const wrapped = await wrapDataKey(key, siteGuid, row.dataKeyId, target);
      // The time is that of the new wrap; the data key keeps its own.
      return { ...row, wrapped, certificateThumbprint: target.thumbprint, createdAtMs: clock.now() };
    } finally {
      key.fill(0);
    }
  }

  async function archiveOne(row: ArchivedSealingKeyRow): Promise<string | null> {
    let key: Buffer;
    try {
      key = await keeper.open(row.wrapped, row.certificateThumbprint);
    } catch (error) {
      if (error instanceof MpeError && !error.retryable) return 'SEALING_KEY_DAMAGED';
      throw error;
    }
    try {
      const wrapped = await seal(key, target.publicJwk, 'mpe-dk');
      const certificateThumbprint = target.thumbprint;
      await store.archiveSealingKey({ ...row, wrapped, certificateThumbprint, archivedAtMs: clock.now() });
      return null;
    } finally {
      key.fill(0);
    }
  }
}

/** As {@link missingWraps}, of the archive of retired sealing keys. */
export function missingArchive(
  rows: readonly ArchivedSealingKeyRow[],
  thumbprint: string,
  kept: readonly string[],
): readonly ArchivedSealingKeyRow[] {
  const done = new Set(rows.filter((row) => row.certificateThumbprint === thumbprint).map((row) => row.kid));
  const open = new Map<string, ArchivedSealingKeyRow>();
  for (const row of rows) {
    if (done.has(row.kid)) continue;
    if (!open.has(row.kid) || kept.includes(row.certificateThumbprint)) open.set(row.kid, row);
  }
  return [...open.values()];
}
