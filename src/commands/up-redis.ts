import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { connectRedis } from '../queue/index.js';

/** A redis-server that belongs to one `mpe up`. */
export interface PrivateRedis {
  readonly url: string;
  /** Ends it in order. */
  stop(): Promise<void>;
}

/** Longest path of a Unix socket that every system takes. */
const SOCKET_PATH_MAX = 100;
const START_MS = 30_000;
/** A server that still answers after this time does not belong to an `mpe up` that has ended. */
const PREDECESSOR_MS = 5_000;
const MAX_MEMORY = '1gb';

/**
 * Starts a redis-server of one's own in `<home>/redis`: append-only file synced before each answer,
 * no eviction, reachable over a socket alone.
 *
 * @throws MpeError QUEUE_UNAVAILABLE where there is no redis-server, or another one has the socket
 */
export async function startPrivateRedis(home: string, log: Logger): Promise<PrivateRedis> {
  const folder = join(home, 'redis');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const socket = socketPath(folder);
  const url = `unix://${socket}`;
  await assertFree(socket);

  const keeper = spawn(
    process.execPath,
    [
      ...process.execArgv,
      fileURLToPath(new URL(`../workers/redis-keeper${extension()}`, import.meta.url)),
      ...['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--dir', folder],
      ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--daemonize', 'no'],
      ...['--maxmemory', MAX_MEMORY, '--maxmemory-policy', 'noeviction'],
      ...['--logfile', join(folder, 'redis.log')],
    ],
    { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], detached: true },
  );
  const problem: { code: string | null } = { code: null };
  keeper.on('message', (message: { kind: string; code?: string | number | null }) => {
    if (message.kind === 'failed') problem.code = String(message.code);
    else log.error({ event: 'redis.crashed', code: message.code }, 'redis-server ended: starting it again');
  });
  // The channel closes with this process, which is what the keeper waits for; it need not hold it.
  const gone = once(keeper, 'exit');
  const stop = async (): Promise<void> => {
    keeper.kill('SIGTERM');
    await gone;
    rmSync(socket, { force: true });
  };
  const until = performance.now() + START_MS;
  while (!(await answers(url))) {
    if (problem.code === 'ENOENT') {
      throw new MpeError(
        'QUEUE_UNAVAILABLE',
        'there is no redis-server on this host: install it (apt-get install redis-server, dnf install redis, ' +
          'brew install redis), or set MPE_REDIS_URL to a Redis that is there',
      );
    }
    if (problem.code !== null || keeper.exitCode !== null || performance.now() > until) {
      await stop();
      throw new MpeError(
        'QUEUE_UNAVAILABLE',
        `redis-server does not start; see ${join(folder, 'redis.log')}`,
      );
    }
    await sleep(25);
  }
  log.info({ event: 'redis.started', socket, folder });
  return { url, stop };
}

/**
 * Where a command finds Redis: MPE_REDIS_URL, else the private one of an `mpe up` on this MPE_HOME,
 * else the default.
 */
export function redisUrlOf(config: Config): string {
  if (redisIsGiven()) return config.redis.url;
  const socket = socketPath(join(config.home, 'redis'));
  return existsSync(socket) ? `unix://${socket}` : config.redis.url;
}

/** Whether the environment names a Redis. */
export function redisIsGiven(): boolean {
  return ['MPE_REDIS_URL', 'MPE_REDIS_URL_FILE'].some((name) => (process.env[name] ?? '') !== '');
}

function extension(): string {
  return import.meta.url.endsWith('.ts') ? '.ts' : '.js';
}

/** In the folder where its path is short enough, else beside other temporary files. */
function socketPath(folder: string): string {
  const inside = join(folder, 'redis.sock');
  if (inside.length <= SOCKET_PATH_MAX) return inside;
  return join(tmpdir(), `mpe-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}.sock`);
}

/**
 * Waits for the server of an earlier `mpe up` to go, which may write its data first. One that hangs, or
 * a busy host, is no reason to take its socket and its files.
 */
async function assertFree(socket: string): Promise<void> {
  const began = performance.now();
  while (await listens(socket)) {
    const waited = performance.now() - began;
    if (waited > PREDECESSOR_MS && (await answers(`unix://${socket}`))) {
      throw new MpeError(
        'QUEUE_UNAVAILABLE',
        `a redis-server has ${socket} already: another "mpe up" runs on this MPE_HOME. Stop it first`,
      );
    }
    if (waited > START_MS) {
      throw new MpeError(
        'QUEUE_UNAVAILABLE',
        `a redis-server has ${socket} and does not answer: another "mpe up" runs on this MPE_HOME (stop it ` +
          'first), or the redis-server of an earlier one has not ended yet (wait for its end, then try again)',
      );
    }
    await sleep(100);
  }
  rmSync(socket, { force: true });
}

/** What the system says of a socket that nobody has. */
const GONE = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'];
/** Its queue of connections is full, or it closed in this moment. */
const BUSY = ['EAGAIN', 'ECONNRESET', 'EPIPE'];

/**
 * Whether anybody has the socket: the system says so at once, whatever that process does.
 *
 * @throws MpeError QUEUE_UNAVAILABLE where it does not let us see
 */
function listens(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? 'unknown';
      if (GONE.includes(code)) resolve(false);
      else if (BUSY.includes(code)) resolve(true);
      else reject(notReachable(socket, code, error));
    });
  });
}

function notReachable(socket: string, code: string, cause: Error): MpeError {
  const why = ['EACCES', 'EPERM'].includes(code)
    ? `this user may not connect to ${socket} (${code}): another user ran "mpe up" on this MPE_HOME. Run it as ` +
      'that user; or, where none runs any more, remove that file and give the folder to this user'
    : `${socket} is not a socket that one can connect to (${code}): where no "mpe up" runs on this MPE_HOME, ` +
      'remove it and try again';
  return new MpeError('QUEUE_UNAVAILABLE', why, { cause });
}

async function answers(url: string): Promise<boolean> {
  const redis = connectRedis(url, 'producer');
  try {
    for (let i = 0; i < 100 && redis.status !== 'ready'; i += 1) await sleep(10);
    if (redis.status !== 'ready') return false;
    await redis.ping();
    return true;
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}
