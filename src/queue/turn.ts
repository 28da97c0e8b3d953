import type { Redis } from 'ioredis';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { turnKey } from './names.js';

/**
 * Takes the turn at a chore that one process at a time is enough for. It ends by itself; whoever holds
 * it may die. Two may have it where Redis lost it: the chore must bear that.
 *
 * @throws MpeError QUEUE_UNAVAILABLE
 */
export async function takeTurn(redis: Redis, siteGuid: Guid, chore: string, forMs: number): Promise<boolean> {
  return (await bounded(redis.set(turnKey(siteGuid, chore), '1', 'PX', forMs, 'NX'), 'turn')) === 'OK';
}
