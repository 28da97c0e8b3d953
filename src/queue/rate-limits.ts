import type { Redis } from 'ioredis';
import { isMpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { limitKey } from './names.js';

/** So many a second in the long run, and so many at once. */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/** One thing that is limited: a client, an address. */
export interface LimitedKey {
  /** Unique over all kinds, e.g. `client:<guid>`. */
  readonly name: string;
  readonly limit: RateLimit;
  /** What this request costs; default 1. */
  readonly cost?: number;
}

/** Whether a request may go on. */
export type LimitVerdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly name: string; readonly retryAfterMs: number };

/** How {@link RateLimits} is made. */
export interface RateLimitsOptions {
  /** A producer connection, owned by the caller. */
  readonly redis: Redis;
  readonly siteGuid: Guid;
  readonly log: Logger;
  /** Default 250 ms. */
  readonly boundMs?: number;
}

/**
 * GCRA over any number of keys: all of them allow the request, or none is charged. A key holds its
 * theoretical arrival time in milliseconds of Redis' clock, so gateways need no common clock, and
 * goes by itself once its bucket is full again: memory is bounded by who asked lately.
 *
 * KEYS: one a limit. ARGV: for each, the interval between two requests in ms, the burst, the cost.
 * Answers -1, or the index of the limit that refused and the milliseconds until it would allow.
 *
 * A request that costs more than the burst would never be allowed; it counts as the whole burst.
 */
const GCRA = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local arrivals = {}
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[i * 3 - 2])
  local burst = tonumber(ARGV[i * 3 - 1])
  local cost = math.min(tonumber(ARGV[i * 3]), burst)
  local arrival = tonumber(redis.call('GET', key) or '0')
  if arrival < now then arrival = now end
  local after = arrival + interval * cost
  local wait = after - now - interval * burst
  if wait > 0.001 then return { i - 1, math.ceil(wait) } end
  arrivals[i] = after
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.3f', arrivals[i]), 'PX', math.ceil(arrivals[i] - now) + 1)
end
return { -1, 0 }
`;

/** Redis with the script as a command: sent once, then called by its hash. */
interface Scripted {
  mpeGcra(keys: number, ...rest: (string | number)[]): Promise<[number, number]>;
}

const DEFAULT_BOUND_MS = 250;
/** After a Redis that did not answer, nobody waits for it again for so long. */
const REST_MS = 1000;
/** A verdict that is remembered here is asked for again after so long at most. */
const REMEMBER_MS = 2000;
const REMEMBERED = 10_000;

/**
 * Rate limits that all gateways of a site share, kept in Redis.
 *
 * Where Redis is slow or away the limit gives way within its bound and lets requests through: what
 * needs Redis is refused by the queue itself then, and what does not must not wait for it. Who was
 * refused a moment ago is refused from memory, so that a flood costs Redis nothing.
 *
 * Why not @fastify/rate-limit: it counts in fixed windows (a fleet that was refused comes back at the
 * one moment when the window ends, and twice the limit passes around that moment), asks once a key,
 * and waits for Redis as long as Redis takes.
 */
export class RateLimits {
  readonly #redis: Redis;
  readonly #siteGuid: Guid;
  readonly #log: Logger;
  readonly #boundMs: number;
  /** Name → until when it is refused, on the monotonic clock. */
  readonly #refused = new Map<string, number>();
  #restUntil = 0;
  #open = false;

  constructor(options: RateLimitsOptions) {
    this.#redis = options.redis;
    this.#siteGuid = options.siteGuid;
    this.#log = options.log;
    this.#boundMs = options.boundMs ?? DEFAULT_BOUND_MS;
    this.#redis.defineCommand('mpeGcra', { lua: GCRA });
  }

  /** Whether a name was refused a moment ago; asks nobody. */
  refusedLately(name: string): LimitVerdict {
    const until = this.#refused.get(name);
    if (until === undefined) return { allowed: true };
    const retryAfterMs = until - performance.now();
    if (retryAfterMs > 0) return { allowed: false, name, retryAfterMs };
    this.#refused.delete(name);
    return { allowed: true };
  }

  /** Charges all keys, or none where one of them refuses. Never throws. */
  async take(keys: readonly LimitedKey[]): Promise<LimitVerdict> {
    if (keys.length === 0 || performance.now() < this.#restUntil) return { allowed: true };
    for (const { name } of keys) {
      const lately = this.refusedLately(name);
      if (!lately.allowed) return lately;
    }
    try {
      const [index, waitMs] = await bounded(
        (this.#redis as unknown as Scripted).mpeGcra(
          keys.length,
          ...keys.map(({ name }) => limitKey(this.#siteGuid, name)),
          ...keys.flatMap(({ limit, cost }) => [1000 / limit.perSecond, limit.burst, cost ?? 1]),
        ),
        'rate limit',
        this.#boundMs,
      );
      this.#tell(null);
      const refusing = keys[index];
      if (refusing === undefined) return { allowed: true };
      this.#remember(refusing.name, Math.min(waitMs, REMEMBER_MS));
      return { allowed: false, name: refusing.name, retryAfterMs: waitMs };
    } catch (error) {
      if (!isMpeError(error, 'QUEUE_UNAVAILABLE')) throw error;
      this.#restUntil = performance.now() + REST_MS;
      this.#tell(error.message);
      return { allowed: true };
    }
  }

  #remember(name: string, forMs: number): void {
    if (this.#refused.size >= REMEMBERED) {
      const oldest = this.#refused.keys().next();
      if (oldest.done !== true) this.#refused.delete(oldest.value);
    }
    this.#refused.set(name, performance.now() + forMs);
  }

  /** One line when the limits give way, one when they hold again. */
  #tell(problem: string | null): void {
    if (this.#open === (problem !== null)) return;
    this.#open = problem !== null;
    if (problem === null) this.#log.info({ event: 'gateway.limits_back' }, 'rate limits hold again');
    else
      this.#log.warn({ event: 'gateway.limits_open', problem }, 'rate limits are off: Redis does not answer');
  }
}
