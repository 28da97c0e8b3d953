import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { tempFolder } from './temp.js';

/** How long it may take to start on a machine that is busy. */
const START_MS = 60_000;

/** A private redis-server on a socket of its own, set as production must be. */
export class TestRedis {
  readonly folder: string;
  readonly socket: string;
  readonly url: string;
  #child: ChildProcess | null = null;
  #onExit: () => void = () => undefined;
  readonly #extra: readonly string[];

  constructor(extra: readonly string[] = [], folder = tempFolder('mpe-redis-')) {
    this.folder = folder;
    this.socket = join(folder, 'redis.sock');
    this.url = `unix://${this.socket}`;
    this.#extra = extra;
  }

  static async start(extra: readonly string[] = []): Promise<TestRedis> {
    const redis = new TestRedis(extra);
    await redis.start();
    return redis;
  }

  /** Starts it, or starts it again on the same data. */
  async start(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    rmSync(this.socket, { force: true });
    const child = spawn(
      'redis-server',
      [
        ...['--port', '0', '--unixsocket', this.socket, '--dir', this.folder, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
        ...[
          '--maxmemory',
          '512mb',
          '--rdbcompression',
          'no',
          '--daemonize',
          'no',
          '--logfile',
          join(this.folder, 'redis.log'),
        ],
        ...this.#extra,
      ],
      // A group of its own: Ctrl-C reaches us alone, and we stop the rest in order.
      { stdio: 'ignore', detached: true },
    );
    this.#child = child;
    this.#onExit = () => void child.kill('SIGKILL');
    process.once('exit', this.#onExit);
    child.once('exit', () => process.removeListener('exit', this.#onExit));
    const until = performance.now() + START_MS;
    while (performance.now() < until) {
      if (child.exitCode !== null)
        throw new Error(`redis-server ended with ${child.exitCode}; see ${this.folder}/redis.log`);
      const probe = new Redis({ path: this.socket, lazyConnect: true, retryStrategy: () => null });
      probe.on('error', () => undefined);
      try {
        await probe.connect();
        await probe.ping();
        return;
      } catch {
        await sleep(25);
      } finally {
        probe.disconnect();
      }
    }
    throw new Error(`redis-server did not start within ${START_MS} ms`);
  }

  /** Ends it at once, as a crash would. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Leaves it running after our own end. */
  release(): void {
    process.removeListener('exit', this.#onExit);
    this.#child?.unref();
  }

  /** Stops and resumes the process: a server that hangs. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }
  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** A client of one's own; the caller disconnects it. */
  connect(): Redis {
    return new Redis({ path: this.socket, maxRetriesPerRequest: 1 });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
