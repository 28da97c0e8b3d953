import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import { loadConfig, type Config } from '../../src/config/index.js';
import { systemClock } from '../../src/ops/clock.js';
import type { MessageReply } from '../../src/protocol/client-message.js';
import { decodeMessageReply } from '../../src/protocol/decode.js';
import { jobIdOf, ReplyBus, SubmitQueue } from '../../src/queue/index.js';
import { startWorker, type RunningWorker, type WorkerOptions } from '../../src/workers/runtime.js';
import { parseLines, type LogLine } from '../support/engine-process.js';
import type { TestRedis } from '../support/redis.js';
import type { Sent, TestSite } from './support.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const silent = pino({ level: 'silent' });

/** For what is killed: locks that run out within seconds, so that another process finds its jobs. */
export function settings(site: TestSite, redis: Pick<TestRedis, 'url'>): Record<string, string> {
  return {
    MPE_HOME: site.folder,
    MPE_REDIS_URL: redis.url,
    MPE_QUEUE_LOCK_MS: '3000',
    MPE_QUEUE_STALLED_MS: '500',
  };
}

/** For workers inside the test process. Locks are long: a busy machine must not lose them. */
export function configOf(site: TestSite, redis: TestRedis, more: Record<string, string> = {}): Config {
  return loadConfig({ ...settings(site, redis), MPE_QUEUE_LOCK_MS: '30000', ...more });
}

/** A worker inside the test process, closed after the test. */
export async function worker(
  site: TestSite,
  redis: TestRedis,
  more: Partial<WorkerOptions> = {},
): Promise<RunningWorker> {
  const running = await startWorker({
    config: configOf(site, redis),
    store: site.store,
    keyFolder: site.keyFolder,
    log: site.log,
    clock: systemClock(),
    concurrency: 16,
    ...more,
  });
  onTestFinished(() => running.close({ force: true }));
  return running;
}

/** The gateway's side: adds jobs and waits for their replies. */
export class Gateway {
  readonly queue: SubmitQueue;
  readonly #bus: ReplyBus;

  constructor(site: TestSite, redis: TestRedis) {
    const common = { redisUrl: redis.url, siteGuid: site.siteGuid, log: silent };
    this.queue = SubmitQueue.open({ ...common, highWater: 100_000 });
    this.#bus = ReplyBus.open({ ...common, gatewayId: 'gw-test' });
    onTestFinished(async () => {
      await this.queue.close();
      await this.#bus.close();
    });
  }

  /** Puts messages into the queue and returns their replies as they come. */
  async send(...messages: readonly Sent[]): Promise<Promise<MessageReply>[]> {
    const replies = messages.map(async ({ job }) => {
      // A bound for what never comes: workers that are killed start again from the sources meanwhile.
      const bytes = await this.#bus.waitFor(jobIdOf(job), 240_000);
      if (bytes === null) throw new Error(`no reply to ${job.messageId}`);
      return decodeMessageReply(bytes);
    });
    for (const reply of replies) reply.catch(() => undefined);
    await this.add(...messages);
    return replies;
  }

  /** Until no job is left: a reply is published just before its job leaves the queue. */
  async empty(): Promise<void> {
    await until(async () => {
      const { waiting, active, delayed } = await this.queue.depth();
      return waiting + active + delayed === 0;
    });
  }

  /** Puts messages into the queue. */
  async add(...messages: readonly Sent[]): Promise<void> {
    // What Redis did not answer in time may be there: the same job again is none more.
    await Promise.all(messages.map(({ job }) => until(() => this.queue.add(job).then(() => true))));
  }
}

/** Waits until a condition holds; what it throws counts as not yet. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 90_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  let last: unknown = null;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms`, { cause: last });
    await sleep(15);
  }
}

/** A real `mpe` process from the sources, killed after the test. */
export class MpeProcess {
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly ended: Promise<unknown>;

  constructor(
    site: TestSite,
    redis: Pick<TestRedis, 'url'>,
    args: readonly string[],
    more: Record<string, string> = {},
  ) {
    this.logFile = join(site.folder, `${args[0] ?? 'mpe'}-${Math.random().toString(36).slice(2)}.log`);
    const log = openSync(this.logFile, 'a');
    this.child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
      env: { PATH: process.env['PATH'], ...settings(site, redis), MPE_LOG_LEVEL: 'trace', ...more },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.ended = once(this.child, 'exit');
    onTestFinished(async () => {
      this.child.kill('SIGKILL');
      await this.ended;
      for (const pid of this.started()) kill(pid);
    });
  }

  /** All that it has written. */
  text(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Its JSON lines; one that is cut is passed over. */
  lines(): LogLine[] {
    return parseLines(this.text());
  }

  count(event: string): number {
    return this.lines().filter((line) => line['event'] === event).length;
  }

  /** Process ids of supervised workers that are ready, the newest last. */
  children(): number[] {
    return this.lines()
      .filter((line) => line['event'] === 'worker.ready')
      .map((line) => Number(line['pid']));
  }

  /** Process ids of every process that it started. */
  started(): number[] {
    return this.lines()
      .filter((line) => line['event'] === 'child.started')
      .map((line) => Number(line['childPid']));
  }

  async ready(workers: number): Promise<void> {
    await until(() => this.children().length >= workers);
  }
}

/** kill -9 of a process that may be gone. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** Whether a process runs. One that ended and that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Behind the name, which may hold anything.
    return !/^\) [ZXx] /.test(stat.slice(stat.lastIndexOf(')')));
  } catch {
    // No /proc here; or it has just ended, which the next look tells.
    return true;
  }
}
