import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { nonceKey } from './names.js';

/** How long a nonce lives. */
export const NONCE_SECONDS = 60;
const NONCE_BYTES = 32;

/** Nonces for token proofs: kept in Redis, so any gateway takes what any other issued. */
export class NonceStore {
  readonly #redis: Redis;
  readonly #siteGuid: Guid;

  /** `redis`: a producer connection, owned by the caller. */
  constructor(redis: Redis, siteGuid: Guid) {
    this.#redis = redis;
    this.#siteGuid = siteGuid;
  }

  /**
   * A new nonce, 32 random bytes, good once within 60 seconds.
   *
   * @throws MpeError QUEUE_UNAVAILABLE
   */
  async issue(): Promise<Buffer> {
    const nonce = randomBytes(NONCE_BYTES);
    await bounded(this.#redis.set(nonceKey(this.#siteGuid, nonce), '1', 'EX', NONCE_SECONDS), 'nonce');
    return nonce;
  }

  /**
   * Uses a nonce up.
   *
   * @returns false where it was never issued, is used up or has expired.
   * @throws MpeError QUEUE_UNAVAILABLE
   */
  async take(nonce: Uint8Array): Promise<boolean> {
    if (nonce.length !== NONCE_BYTES) return false;
    return (await bounded(this.#redis.getdel(nonceKey(this.#siteGuid, nonce)), 'nonce')) !== null;
  }
}
