import { readDeviceKeys, type DeviceKey } from '../../jose/index.js';
import { MpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import { fetchSmall } from './fetch-small.js';

/** How often the keys are read again where nothing asks for it. */
const REFRESH_EVERY_MS = 3_600_000;
/** An unknown key id makes the gateway ask the issuer, at most this often. */
const UNKNOWN_EVERY_MS = 30_000;
/** Keys that could not be read again are trusted for so long. */
const MAX_AGE_MS = 24 * 3_600_000;

/** How {@link DeviceKeys} is made. */
export interface DeviceKeysOptions {
  readonly url: string;
  /** PEM; null: the CAs of Node.js. */
  readonly ca: string | null;
  readonly log: Logger;
  /** For tests. */
  readonly unknownEveryMs?: number;
  /** For tests. */
  readonly timeoutMs?: number;
}

/**
 * The signing keys of the issuer of device tokens. They are fetched at start, every hour, and when a
 * token names a key that is not there, but then no more often than twice a minute, whatever anybody
 * sends. While the issuer is away the keys that are there go on, for a day at most.
 */
export class DeviceKeys {
  readonly #options: DeviceKeysOptions;
  readonly #timer: NodeJS.Timeout;
  #keys: ReadonlyMap<string, DeviceKey> = new Map();
  #readAt = -Infinity;
  #askedAt = -Infinity;
  #asking: Promise<void> | null = null;

  constructor(options: DeviceKeysOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#ask(), REFRESH_EVERY_MS);
    this.#timer.unref();
  }

  /** The first read; one that fails is logged, and made again when a token comes. */
  async start(): Promise<void> {
    await this.#ask();
  }

  /** Whether a key is one of the issuer's, as far as it is known. */
  holds(key: DeviceKey): boolean {
    return this.#isFresh() && this.#keys.get(key.kid) === key;
  }

  /**
   * The key of an id.
   *
   * @throws MpeError KID_UNKNOWN where the issuer has none; UNREACHABLE where its keys are not known.
   */
  async find(kid: string): Promise<DeviceKey> {
    const held = this.#isFresh() ? this.#keys.get(kid) : undefined;
    if (held !== undefined) return held;
    const wait = this.#options.unknownEveryMs ?? UNKNOWN_EVERY_MS;
    if (this.#asking !== null || performance.now() - this.#askedAt >= wait) await this.#ask();
    if (!this.#isFresh()) throw new MpeError('UNREACHABLE', 'the keys of the issuer are not known');
    const found = this.#keys.get(kid);
    if (found === undefined)
      throw new MpeError('KID_UNKNOWN', 'device token: the issuer has no key with its id');
    return found;
  }

  #isFresh(): boolean {
    return performance.now() - this.#readAt < MAX_AGE_MS;
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#read().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #read(): Promise<void> {
    const { url, ca, log, timeoutMs } = this.#options;
    this.#askedAt = performance.now();
    try {
      const text = await fetchSmall(url, { ca, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
      const keys = readDeviceKeys(text);
      if (keys.length === 0) throw new MpeError('UNREACHABLE', 'the address publishes no RSA signing key');
      // The same key stays the same object, so that what it verified need not be verified again.
      this.#keys = new Map(keys.map((key) => [key.kid, this.#same(key)]));
      this.#readAt = performance.now();
      log.info({ event: 'gateway.device_keys', keys: keys.length }, 'keys for device tokens read');
    } catch (error) {
      const age = Math.round((performance.now() - this.#readAt) / 1000);
      log.error(
        { event: 'gateway.device_keys_unread', error, heldForSeconds: Number.isFinite(age) ? age : null },
        'the keys for device tokens cannot be read; what is held goes on for a day',
      );
    }
  }

  #same(key: DeviceKey): DeviceKey {
    const held = this.#keys.get(key.kid);
    return held?.n === key.n ? held : key;
  }

  /** Stops asking. */
  close(): void {
    clearInterval(this.#timer);
  }
}
