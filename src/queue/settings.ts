import type { Redis } from 'ioredis';
import { bounded } from './bounded.js';

/** What CONFIG GET is asked for. */
const WANTED = ['appendonly', 'appendfsync', 'maxmemory', 'maxmemory-policy'] as const;

/**
 * Compares Redis' settings with what an accepted message needs: an append-only file that is synced
 * before each answer, no eviction, and a memory limit that the high-water mark can go by.
 *
 * @returns one sentence per problem, each naming the setting; empty where all is well.
 * @throws MpeError QUEUE_UNAVAILABLE where Redis does not answer.
 */
export async function checkRedisSettings(redis: Redis): Promise<string[]> {
  let raw: unknown;
  try {
    raw = await bounded(redis.config('GET', ...WANTED) as Promise<unknown>, 'CONFIG GET');
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
    if (!/NOPERM|unknown command|not allowed/i.test(cause)) throw error;
    return [
      'CONFIG GET is refused, so appendonly, appendfsync, maxmemory and maxmemory-policy cannot be checked: ' +
        'allow it to this user, or check them by hand and set MPE_REDIS_ALLOW_UNSAFE=1',
    ];
  }
  const settings = toMap(raw);
  const problems: string[] = [];
  if (settings.get('appendonly') !== 'yes') {
    problems.push('appendonly is not yes: a restart of Redis loses every accepted message');
  }
  const fsync = settings.get('appendfsync') ?? '(unknown)';
  if (fsync !== 'always') {
    problems.push(
      fsync === 'everysec'
        ? 'appendfsync is everysec: a crash of the machine loses up to a second of accepted messages; set it to always'
        : `appendfsync is ${fsync}: accepted messages are not on disk when they are acknowledged; set it to always`,
    );
  }
  const policy = settings.get('maxmemory-policy') ?? '(unknown)';
  if (policy !== 'noeviction') {
    problems.push(
      `maxmemory-policy is ${policy}: Redis throws messages away when it is full; set it to noeviction`,
    );
  }
  if ((settings.get('maxmemory') ?? '0') === '0') {
    problems.push(
      'maxmemory is 0: without a limit Redis grows until the machine kills it; set it, e.g. to 4gb',
    );
  }
  return problems;
}

/** RESP2 answers a flat list, RESP3 a map; ioredis may give either. */
function toMap(raw: unknown): Map<string, string> {
  const pairs = new Map<string, string>();
  if (Array.isArray(raw)) {
    for (let i = 0; i + 1 < raw.length; i += 2) pairs.set(String(raw[i]), String(raw[i + 1]));
  } else if (raw instanceof Map) {
    for (const [name, value] of raw) pairs.set(String(name), String(value));
  } else if (typeof raw === 'object' && raw !== null) {
    for (const [name, value] of Object.entries(raw)) pairs.set(name, String(value));
  }
  return pairs;
}
