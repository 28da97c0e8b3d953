import { Redis, type RedisOptions } from 'ioredis';
import { MpeError } from '../ops/errors.js';

/**
 * What a connection is for:
 *  * `producer`: fails at once while Redis is away (no offline queue, nothing is sent again by
 *    itself), so that a caller can answer.
 *  * `consumer`: waits for Redis as long as it takes.
 *  * `subscriber`: pub/sub; subscribes again by itself.
 */
export type RedisRole = 'producer' | 'consumer' | 'subscriber';

/** Back-off between attempts to connect: quick at first, never longer than a second. */
function retryDelay(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 900) + Math.floor(Math.random() * 100);
}

function roleOptions(role: RedisRole): RedisOptions {
  switch (role) {
    case 'producer':
      return {
        enableOfflineQueue: false,
        // 0: what is under way when a connection breaks fails, instead of being sent again later.
        maxRetriesPerRequest: 0,
        autoResendUnfulfilledCommands: false,
        connectTimeout: 2000,
        // A peer that is gone without a word (half-open) is given up after this long.
        socketTimeout: 3000,
      };
    case 'consumer':
      // Above the longest blocking read (10 s), or an idle queue would look like a dead peer.
      return { maxRetriesPerRequest: null, connectTimeout: 5000, socketTimeout: 20_000 };
    case 'subscriber':
      return { maxRetriesPerRequest: null, connectTimeout: 2000, socketTimeout: 5000 };
  }
}

/**
 * Host, path, credentials and TLS from `redis://`, `rediss://` or `unix:///path`; with credentials
 * the latter is `unix://user:password@localhost/path`.
 */
function addressOptions(url: string): RedisOptions {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new MpeError('CONFIG_INVALID', 'MPE_REDIS_URL is not a URL', { cause });
  }
  const credentials: RedisOptions = {
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
  };
  const database = (text: string | null): RedisOptions =>
    text === null || text === '' ? {} : { db: Number.parseInt(text, 10) };
  switch (parsed.protocol) {
    case 'unix:':
      return {
        path: decodeURIComponent(parsed.pathname),
        ...credentials,
        ...database(parsed.searchParams.get('db')),
      };
    case 'redis:':
    case 'rediss:':
      return {
        host: parsed.hostname === '' ? '127.0.0.1' : parsed.hostname.replace(/^\[|\]$/g, ''),
        port: parsed.port === '' ? 6379 : Number(parsed.port),
        ...credentials,
        ...database(parsed.pathname.slice(1)),
        ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
      };
    default:
      throw new MpeError('CONFIG_INVALID', 'MPE_REDIS_URL starts with redis://, rediss:// or unix:///');
  }
}

/**
 * Connects to Redis in the background; never throws because Redis is away. The caller owns the
 * connection and disconnects it. An `error` listener is attached, so an outage ends no process.
 *
 * @throws MpeError CONFIG_INVALID where the URL is none.
 */
export function connectRedis(url: string, role: RedisRole): Redis {
  const redis = new Redis({
    // RESP3 on the wire, plain arrays and strings here.
    ...addressOptions(url),
    ...roleOptions(role),
    retryStrategy: retryDelay,
    keepAlive: 10_000,
    replyMapping: 'legacy',
    // A master that became a replica in a failover: connect again, to the new master.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  redis.on('error', ignore);
  return redis;
}

function ignore(): void {
  // Outages are reported by what they stop (adds, readiness), not once per attempt to connect.
}
