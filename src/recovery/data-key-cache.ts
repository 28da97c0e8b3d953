import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { decryptAtRest } from '../secrets/at-rest.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import { unwrapDataKey } from '../secrets/data-key.js';
import type { DataKeyRow, SecretForm, SecretIdentity } from '../secrets/types.js';
import { sentinelOf } from './sentinel.js';

/** Data keys in plain form at a time. A day's keys of a large site; older ones are opened again when met. */
const OPEN_AT_MOST = 1024;

/** What a cache needs. */
export interface DataKeyCacheOptions {
  readonly siteGuid: Guid;
  /** On a site without a certificate it keeps none, and only plain secrets open. */
  readonly keeper: CertificateKeeper;
}

/**
 * Opens stored secrets, like `SecretOpener`, for a process that runs for months: data keys come and
 * go, so few are held in plain form, the least recently used leaves first, and what leaves is
 * overwritten. RSA works once for each key that is held, and once a round for one that does not open.
 */
export class DataKeyCache {
  readonly #siteGuid: Guid;
  readonly #keeper: CertificateKeeper;
  #rows: ReadonlyMap<Guid, DataKeyRow> = new Map();
  /** In order of use. */
  readonly #open = new Map<Guid, Buffer>();
  readonly #failed = new Map<Guid, MpeError>();

  /** Opens nothing yet. */
  constructor(options: DataKeyCacheOptions) {
    this.#siteGuid = options.siteGuid;
    this.#keeper = options.keeper;
  }

  /** Keys in plain form now. */
  get size(): number {
    return this.#open.size;
  }

  /** Gives the rows as the database has them now; what did not open is tried again. */
  useRows(rows: ReadonlyMap<Guid, DataKeyRow>): void {
    this.#rows = rows;
    this.#failed.clear();
  }

  /** Whether the rows hold this data key. */
  knows(id: Guid): boolean {
    return this.#rows.has(id);
  }

  /** Drops a key, so that it is opened from its row again. */
  forget(id: Guid): void {
    this.#open.get(id)?.fill(0);
    this.#open.delete(id);
    this.#failed.delete(id);
  }

  /**
   * The plaintext of a stored secret.
   *
   * @throws MpeError SECRET_UNREADABLE; facts.reason is CIPHERTEXT_DAMAGED or SENTINEL_KEY where the
   *   secret itself is at fault, else as {@link dataKey}
   */
  async open(identity: SecretIdentity, content: SecretForm): Promise<Buffer> {
    if (content.form === 'PLAIN') return Buffer.from(content.bytes);
    const { dataKeyId } = content;
    if (this.#isSentinel(dataKeyId)) {
      throw unreadable(`names the sentinel ${dataKeyId}, which encrypts nothing`, 'SENTINEL_KEY', dataKeyId);
    }
    const key = await this.dataKey(dataKeyId);
    const { kind, keyId, volumeId } = identity;
    const place = { siteGuid: this.#siteGuid, kind, keyId, volumeId, dataKeyId };
    const plaintext = decryptAtRest(key, place, content.bytes);
    if (plaintext !== null) return plaintext;
    throw unreadable('ciphertext is damaged or of another place', 'CIPHERTEXT_DAMAGED', dataKeyId);
  }

  /**
   * A data key in plain form. The cache owns the bytes: use them at once, keep none.
   *
   * @throws MpeError SECRET_UNREADABLE; facts.reason is NO_CERTIFICATE, DATA_KEY_UNKNOWN,
   *   CERTIFICATE_OTHER or DATA_KEY_DAMAGED
   */
  async dataKey(id: Guid): Promise<Buffer> {
    const known = this.#open.get(id);
    if (known !== undefined) {
      this.#open.delete(id);
      this.#open.set(id, known);
      return known;
    }
    const failed = this.#failed.get(id);
    if (failed !== undefined) throw failed;
    const key = await this.#unwrap(id);
    this.#open.set(id, key);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= OPEN_AT_MOST) break;
      this.forget(oldest);
    }
    return key;
  }

  /** Overwrites every key that is held and lets the certificate's go. Nothing opens any more. */
  close(): void {
    for (const key of this.#open.values()) key.fill(0);
    this.#open.clear();
    this.#failed.clear();
    this.#rows = new Map();
    this.#keeper.close();
  }

  #isSentinel(id: Guid): boolean {
    return this.#keeper
      .certificates()
      .some((one) => sentinelOf(this.#siteGuid, one.thumbprint).dataKeyId === id);
  }

  async #unwrap(id: Guid): Promise<Buffer> {
    if (this.#keeper.certificates().length === 0) {
      throw unreadable('is encrypted, and there is no certificate', 'NO_CERTIFICATE', id);
    }
    const row = this.#rows.get(id);
    if (row === undefined) throw unreadable('names a data key that is not there', 'DATA_KEY_UNKNOWN', id);
    try {
      return await unwrapDataKey(row, this.#siteGuid, this.#keeper);
    } catch (error) {
      if (error instanceof MpeError && error.code === 'SECRET_UNREADABLE') this.#failed.set(id, error);
      throw error;
    }
  }
}

function unreadable(what: string, reason: string, dataKeyId: Guid): MpeError {
  return new MpeError('SECRET_UNREADABLE', `the secret ${what}`, { facts: { reason, dataKeyId } });
}
