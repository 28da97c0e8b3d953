import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { checkRedisSettings, connectRedis } from '../../src/queue/index.js';
import { TestRedis } from '../support/redis.js';
import { eventually } from './support.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

async function problems(set: Record<string, string>): Promise<string[]> {
  const connection = connectRedis(redis.url, 'producer');
  try {
    await eventually(() => connection.ping());
    for (const [name, value] of Object.entries(set)) await connection.config('SET', name, value);
    return await checkRedisSettings(connection);
  } finally {
    connection.disconnect();
  }
}
const good = {
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
  maxmemory: '512mb',
};

test('good settings have no problem', async () => {
  expect(await problems(good)).toEqual([]);
});

test.each([
  ['appendonly', 'no', /appendonly is not yes/],
  ['appendfsync', 'everysec', /appendfsync is everysec.*always/],
  ['appendfsync', 'no', /appendfsync is no.*always/],
  ['maxmemory-policy', 'volatile-lru', /maxmemory-policy is volatile-lru.*noeviction/],
  ['maxmemory', '0', /maxmemory is 0/],
])('%s = %s is named', async (name, value, text) => {
  const found = await problems({ ...good, [name]: value });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(text);
});

test('a Redis that refuses CONFIG is said to be unchecked, not called good', async () => {
  const admin = redis.connect();
  await admin.acl('SETUSER', 'limited', 'on', '>pw', '~*', '&*', '+@all', '-config');
  admin.disconnect();
  const connection = connectRedis(redis.url.replace('unix://', 'unix://limited:pw@localhost'), 'producer');
  onTestFinished(() => connection.disconnect());
  await eventually(() => connection.ping());
  expect(await checkRedisSettings(connection)).toEqual([expect.stringContaining('CONFIG GET is refused')]);
});

test('a Redis that is away is an error, not a list of problems', async () => {
  const connection = connectRedis('unix:///nowhere/redis.sock', 'producer');
  onTestFinished(() => connection.disconnect());
  await expect(checkRedisSettings(connection)).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
});

test.each(['http://x', 'nonsense', ''])('the address %j is refused', (url) => {
  expect(() => connectRedis(url, 'producer')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});
