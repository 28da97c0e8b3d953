import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pino from 'pino';
import { describe, test, type TestContext } from 'vitest';
import { startPrivateRedis } from '../../src/commands/up-redis.js';
import { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';

const log = pino({ level: 'silent' });
/** For what hangs. */
const LIMIT = { timeout: 120_000, killSignal: 'SIGKILL' } as const;

// Made here, they go with this file: of tests that run together, a folder would go with any of them.
const homes = Array.from({ length: 6 }, () => tempFolder('mpe-up-'));

function newHome(): string {
  const home = homes.pop();
  if (home === undefined) throw new Error('one home for each test');
  return home;
}

/** A home, and a redis-server where that of an `mpe up` would be. */
async function homeWithRedis({ onTestFinished }: TestContext): Promise<[home: string, redis: TestRedis]> {
  const home = newHome();
  const redis = new TestRedis([], join(home, 'redis'));
  onTestFinished(() => redis.stop());
  await redis.start();
  return [home, redis];
}

/** Starts a private Redis, as a process of its own: the keeper of the server is started as it was. */
function starter(home: string, folder = home, before = ''): string[] {
  const script = join(home, 'start.mts');
  writeFileSync(
    script,
    `import pino from ${JSON.stringify(import.meta.resolve('pino'))};
    import { startPrivateRedis } from ${JSON.stringify(new URL('../../src/commands/up-redis.ts', import.meta.url).href)};
    ${before}
    try {
      const redis = await startPrivateRedis(${JSON.stringify(folder)}, pino({ level: 'silent' }));
      await redis.stop();
      console.log('started and stopped');
    } catch (error) {
      console.log(error.code, error.message);
    }`,
  );
  return ['--import', 'tsx', script];
}

// Together: most of their time is waiting for what may be about to end.
describe.concurrent('the private Redis of mpe up', () => {
  test('that of another mpe up is left alone', async (context) => {
    const { expect } = context;
    const [home, other] = await homeWithRedis(context);
    await expect(startPrivateRedis(home, log)).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      message: expect.stringContaining('another "mpe up" runs on this MPE_HOME. Stop it first') as string,
    });
    expect(existsSync(other.socket)).toBe(true);
    const redis = other.connect();
    expect(await redis.ping()).toBe('PONG');
    redis.disconnect();
  });

  test('also while it stands still', async (context) => {
    const { expect } = context;
    const [home, other] = await homeWithRedis(context);
    other.pause();
    await expect(startPrivateRedis(home, log)).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      message: expect.stringContaining('does not answer: another "mpe up" runs') as string,
    });
    expect(existsSync(other.socket)).toBe(true);
    other.resume();
    const redis = other.connect();
    expect(await redis.ping()).toBe('PONG');
    redis.disconnect();
  });

  test('the socket that a killed one left behind is taken', async (context) => {
    const { expect } = context;
    const [home, killed] = await homeWithRedis(context);
    await killed.kill();
    expect(existsSync(killed.socket)).toBe(true);
    const { stdout } = await promisify(execFile)(process.execPath, starter(home), LIMIT);
    expect(stdout).toBe('started and stopped\n');
  });

  test('one that is slow to end is waited for', async (context) => {
    const { expect } = context;
    const [home, slow] = await homeWithRedis(context);
    slow.pause();
    const child = spawn(process.execPath, starter(home, home, "process.stderr.write('begins');"), LIMIT);
    const output = text(child.stdout);
    await once(child.stderr, 'data');
    // Longer than one that answers would be waited for.
    await sleep(7_000);
    expect(child.exitCode).toBe(null);
    await slow.kill();
    expect(await output).toBe('started and stopped\n');
  });

  test('a socket that one may not connect to is told as that, and left', async (context) => {
    const { expect } = context;
    const [home, foreign] = await homeWithRedis(context);
    chmodSync(foreign.socket, 0);
    for (const folder of [home, foreign.folder]) chmodSync(folder, 0o711);
    // Root may connect to everything. From inside the folder: those above it may be closed to others.
    const nobody = `process.chdir(${JSON.stringify(home)}); if (process.getuid() === 0) process.seteuid(65534);`;
    const { stdout } = await promisify(execFile)(process.execPath, starter(home, '.', nobody), LIMIT);
    expect(stdout).toMatch(/^QUEUE_UNAVAILABLE this user may not connect to redis\/redis\.sock \(EACCES\)/);
    expect(existsSync(foreign.socket)).toBe(true);
  });

  test('a file that is no socket at all is told as that', async ({ expect }) => {
    const home = newHome();
    mkdirSync(join(home, 'redis'));
    symlinkSync('redis.sock', join(home, 'redis', 'redis.sock'));
    await expect(startPrivateRedis(home, log)).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      message: expect.stringContaining('is not a socket that one can connect to (ELOOP)') as string,
    });
  });
});
