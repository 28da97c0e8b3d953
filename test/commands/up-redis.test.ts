import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../src/commands/up-redis.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';

const log = pino({ level: 'silent' });

test('the private Redis of another mpe up is left alone, also while it stands still', async () => {
  const home = tempFolder('mpe-up-');
  const other = new TestRedis([], join(home, 'redis'));
  await other.start();
  onTestFinished(() => other.stop());
  other.pause();
  await expect(startPrivateRedis(home, log)).rejects.toMatchObject({
    code: 'QUEUE_UNAVAILABLE',
    message: expect.stringContaining('another "mpe up" runs') as string,
  });
  expect(existsSync(other.socket)).toBe(true);
  other.resume();
  const redis = other.connect();
  expect(await redis.ping()).toBe('PONG');
  redis.disconnect();
});

test('the socket that a killed one left behind is taken', async () => {
  const home = tempFolder('mpe-up-');
  const killed = new TestRedis([], join(home, 'redis'));
  await killed.start();
  await killed.kill();
  expect(existsSync(killed.socket)).toBe(true);
  // As a process of its own: the keeper of the server is started as it was.
  const script = join(home, 'start.mts');
  writeFileSync(
    script,
    `import pino from ${JSON.stringify(import.meta.resolve('pino'))};
    import { startPrivateRedis } from ${JSON.stringify(new URL('../../src/commands/up-redis.ts', import.meta.url).href)};
    const redis = await startPrivateRedis(${JSON.stringify(home)}, pino({ level: 'silent' }));
    await redis.stop();
    console.log('started and stopped');`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script]);
  expect(stdout).toBe('started and stopped\n');
});
