import { createHash } from 'node:crypto';
import { isMpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { DataKeyRow } from '../secrets/types.js';
import { Breather } from './breather.js';
import type { DataKeyCache } from './data-key-cache.js';

/** Data keys opened in one round at most: some seconds of RSA. The rest waits for the next round. */
const OPENED_A_ROUND = 500;

/** What a round found in the data keys. */
export interface DataKeyReport {
  /** Proven to open. */
  readonly good: number;
  /** Do not open. */
  readonly failing: readonly { readonly dataKeyId: Guid; readonly reason: string }[];
  /** Not tried yet. */
  readonly pending: number;
}

/**
 * Proves that every data key opens: a new one in the round after it was stored, one whose stored form
 * changed again, and one that failed until it opens.
 */
export class DataKeyWatch {
  readonly #keys: DataKeyCache;
  /** Data key → digest of the stored form that opened. */
  readonly #good = new Map<Guid, string>();

  constructor(keys: DataKeyCache) {
    this.#keys = keys;
  }

  /** @param rows - one row a data key, see `ownRows` */
  async check(rows: ReadonlyMap<Guid, DataKeyRow>, signal: AbortSignal): Promise<DataKeyReport> {
    const breather = new Breather();
    this.#keys.useRows(rows);
    const due: { readonly row: DataKeyRow; readonly digest: string }[] = [];
    for (const row of rows.values()) {
      const digest = digestOf(row);
      const known = this.#good.get(row.dataKeyId);
      if (known === digest) continue;
      if (known !== undefined) this.#drop(row.dataKeyId);
      due.push({ row, digest });
      await breather.pause();
    }
    for (const id of this.#good.keys()) if (!rows.has(id)) this.#drop(id);

    due.sort((a, b) => b.row.createdAtMs - a.row.createdAtMs);
    const failing: { dataKeyId: Guid; reason: string }[] = [];
    let tried = 0;
    for (const { row, digest } of due.slice(0, OPENED_A_ROUND)) {
      if (signal.aborted) break;
      tried += 1;
      try {
        await this.#keys.dataKey(row.dataKeyId);
        this.#good.set(row.dataKeyId, digest);
      } catch (error) {
        if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
        failing.push({ dataKeyId: row.dataKeyId, reason: String(error.facts['reason']) });
      }
      await breather.pause();
    }
    return { good: this.#good.size, failing, pending: due.length - tried };
  }

  #drop(id: Guid): void {
    this.#good.delete(id);
    this.#keys.forget(id);
  }
}

function digestOf(row: DataKeyRow): string {
  return createHash('sha256')
    .update(row.certificateThumbprint)
    .update(row.wrapped)
    .digest('base64url')
    .slice(0, 22);
}
