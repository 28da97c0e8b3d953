import { randomBytes } from 'node:crypto';
import type { Clock } from '../ops/clock.js';
import { newGuid, type Guid } from '../protocol/guid.js';
import { DATA_KEY_BYTES, encryptAtRest } from './at-rest.js';
import type { CertificatePublic } from './certificate.js';
import { wrapDataKey } from './data-key.js';
import type { DataKeyRow, SecretForm, SecretIdentity } from './types.js';

/** When a data key has served its time. */
export interface DataKeyLimits {
  readonly maxAgeMs: number;
  readonly maxUses: number;
}

/**
 * A day, so that a stolen worker reads a day at most; and 2^30 random nonces, which keeps the chance
 * of two equal ones below 2^-36 (NIST SP 800-38D allows 2^32 at 2^-32).
 */
export const DATA_KEY_LIMITS: DataKeyLimits = { maxAgeMs: 24 * 3_600_000, maxUses: 2 ** 30 };

/** A clock that steps back by more than this ends a data key, as its age is unknown then. */
const STEP_BACK_MS = 60_000;

interface CurrentKey {
  readonly id: Guid;
  readonly key: Buffer;
  readonly createdAtMs: number;
  uses: number;
}

/** What a ring needs. */
export interface DataKeyRingOptions {
  readonly siteGuid: Guid;
  readonly certificate: CertificatePublic;
  /** Makes a row durable, in a transaction of its own; a rejection means: not stored. */
  readonly persist: (row: DataKeyRow) => Promise<void>;
  readonly clock: Clock;
  /** Name of the process, for the row. */
  readonly by: string;
  readonly limits?: DataKeyLimits;
}

/**
 * Encrypts secrets at rest with a data key of this process.
 *
 * A data key is made on first use, wrapped to the certificate and persisted *before* anything is
 * encrypted with it, so that no ciphertext can exist whose key is not stored. It is replaced by age
 * or uses. Its plain form lives in this process' memory alone; a restart makes a new one.
 */
export class DataKeyRing {
  readonly #options: DataKeyRingOptions;
  readonly #limits: DataKeyLimits;
  #current: CurrentKey | null = null;
  #making: Promise<CurrentKey> | null = null;

  constructor(options: DataKeyRingOptions) {
    this.#options = options;
    this.#limits = options.limits ?? DATA_KEY_LIMITS;
  }

  /**
   * Encrypts one secret for its place.
   *
   * @param plaintext - a recovery password as its canonical text in UTF-8, else the bytes
   * @throws what `persist` throws; nothing was encrypted then, and the next call tries anew
   */
  async encrypt(identity: SecretIdentity, plaintext: Uint8Array): Promise<SecretForm> {
    const dataKey = await this.#take();
    const place = {
      siteGuid: this.#options.siteGuid,
      kind: identity.kind,
      keyId: identity.keyId,
      volumeId: identity.volumeId,
      dataKeyId: dataKey.id,
    };
    return {
      form: 'SEALED',
      dataKeyId: dataKey.id,
      bytes: encryptAtRest(dataKey.key, place, plaintext),
    };
  }

  /** Makes the data key now, where there is no usable one: a worker that starts proves that it can. */
  async prepare(): Promise<void> {
    if (!this.#usable(this.#current)) await this.#make();
  }

  /** Makes a new data key for the next secret: the database does not hold the present one any more. */
  forget(): void {
    this.#current = null;
  }

  /** A usable key with one use taken. Loops, as many waiters share a key that has few uses left. */
  async #take(): Promise<CurrentKey> {
    for (;;) {
      const current = this.#current;
      if (this.#usable(current)) {
        current.uses += 1;
        return current;
      }
      await this.#make();
    }
  }

  #usable(key: CurrentKey | null): key is CurrentKey {
    if (key === null || key.uses >= this.#limits.maxUses) return false;
    const ageMs = this.#options.clock.now() - key.createdAtMs;
    return ageMs < this.#limits.maxAgeMs && ageMs > -STEP_BACK_MS;
  }

  /** Concurrent callers share one making. */
  #make(): Promise<CurrentKey> {
    this.#making ??= this.#makeOne().finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #makeOne(): Promise<CurrentKey> {
    const { siteGuid, certificate, clock, by, persist } = this.#options;
    const id = newGuid();
    const key = randomBytes(DATA_KEY_BYTES);
    const createdAtMs = clock.now();
    await persist({
      dataKeyId: id,
      certificateThumbprint: certificate.thumbprint,
      wrapped: await wrapDataKey(key, siteGuid, id, certificate),
      createdAtMs,
      createdBy: by,
    });
    this.#current = { id, key, createdAtMs, uses: 0 };
    return this.#current;
  }
}
