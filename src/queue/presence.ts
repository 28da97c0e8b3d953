import type { Redis } from 'ioredis';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { keyPrefix } from './names.js';

/** A process that says it is there. */
export interface Present {
  readonly role: 'gateway' | 'worker';
  /** e.g. `host/4711`. */
  readonly name: string;
  readonly startedAtMs: number;
  /** Messages it works on at once. */
  readonly concurrency: number;
  /** Of a gateway: the management point that it is. */
  readonly managementPoint?: {
    /** Its configured name: the same after a restart. */
    readonly id: string;
    readonly channel: 'HTTPS' | 'ENHANCED_HTTP' | 'HTTP';
    readonly address: string;
  };
}

const ANNOUNCE_EVERY_MS = 5000;
/** Who has not announced for this long is gone. */
const GONE_AFTER_MS = 16_000;

const presenceKey = (siteGuid: Guid): string => `${keyPrefix(siteGuid)}:presence`;

/** Tells `mpe status` that a process is there. Decides nothing: losing it harms no message. */
export class Presence {
  readonly #redis: Redis;
  readonly #siteGuid: Guid;
  readonly #self: Present;
  readonly #timer: NodeJS.Timeout;

  /** Starts announcing. `redis`: a producer connection, owned by the caller. */
  constructor(redis: Redis, siteGuid: Guid, self: Present) {
    this.#redis = redis;
    this.#siteGuid = siteGuid;
    this.#self = self;
    this.#timer = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS);
    this.#timer.unref();
    this.#announce();
  }

  #field(): string {
    return `${this.#self.role}:${this.#self.name}`;
  }

  #announce(): void {
    // Real time, also on a site with a shifted clock: only processes compare it.
    const value = JSON.stringify({ ...this.#self, seenAtMs: Date.now() });
    void this.#redis.hset(presenceKey(this.#siteGuid), this.#field(), value).catch(() => undefined);
  }

  /** Says good-bye, where Redis answers. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await bounded(this.#redis.hdel(presenceKey(this.#siteGuid), this.#field()), 'presence', 500).catch(
      () => undefined,
    );
  }
}

/** Processes that announced themselves lately. @throws MpeError QUEUE_UNAVAILABLE */
export async function readPresent(redis: Redis, siteGuid: Guid): Promise<Present[]> {
  const fields = await bounded(redis.hgetall(presenceKey(siteGuid)), 'presence');
  const present: Present[] = [];
  for (const [field, text] of Object.entries(fields)) {
    const value = JSON.parse(text) as Present & { readonly seenAtMs: number };
    if (Date.now() - value.seenAtMs < GONE_AFTER_MS) present.push(value);
    // Those that died stay in the hash; whoever looks tidies up.
    else await redis.hdel(presenceKey(siteGuid), field).catch(() => undefined);
  }
  return present.sort((a, b) => a.name.localeCompare(b.name));
}
