import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EngineProcess, MAIN, ROOT } from './engine-process.js';
import { expectNoLeftovers } from './leaks.js';
import { ownPort } from './own-port.js';
import { TestRedis } from './redis.js';
import { tempFolder } from './temp.js';
import { copyWithModes } from './copy-folder.js';

/** How an engine is set up. */
export interface EngineOptions {
  /** An own folder (removed by `dispose`), or one that a snapshot was copied to. */
  readonly folder?: string;
  /** Worker processes; 1 by default. */
  readonly workers?: number;
  /** Messages a worker works on at once. */
  readonly concurrency?: number;
  /**
   * Jobs of a killed worker are taken over within seconds. For what kills workers alone: on a busy machine
   * a worker that lives may lose the lock of a job, and its client is then told ALREADY_COMMITTED.
   */
  readonly quickRecovery?: boolean;
  /** More `MPE_*` settings, for every process and command. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More of them for the processes of one role: a login of its own, say. */
  readonly roleSettings?: Readonly<Partial<Record<'gateway' | 'worker', Readonly<Record<string, string>>>>>;
  /** MPE_STORE_URL; absent: SQLite in the home folder. */
  readonly storeUrl?: string;
  /** More arguments for redis-server. */
  readonly redis?: readonly string[];
}

/** What a command printed. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const QUICK_RECOVERY = { MPE_QUEUE_LOCK_MS: '2000', MPE_QUEUE_STALLED_MS: '1000' };

/** How long a process may take to start on a machine or a database server that is busy. */
const START_MS = 120_000;

/**
 * A whole engine on this machine, private to one folder: redis-server on a socket, `mpe gateway`
 * and `mpe worker` as real processes from dist/, SQLite, logs in `<folder>/logs`.
 */
export class Engine {
  readonly folder: string;
  readonly home: string;
  readonly logs: string;
  readonly redis: TestRedis;
  readonly options: EngineOptions;
  gateway: EngineProcess | null = null;
  readonly workers: (EngineProcess | null)[] = [];
  /** Chosen at the first start, kept over restarts: clients know them. */
  #port = 0;
  #opsPort = 0;

  private constructor(options: EngineOptions) {
    this.options = options;
    this.folder = options.folder ?? tempFolder('mpe-engine-');
    this.home = join(this.folder, 'home');
    this.logs = join(this.folder, 'logs');
    this.redis = new TestRedis(options.redis ?? [], join(this.folder, 'redis'));
    mkdirSync(this.logs, { recursive: true });
  }

  /** An engine that is not running yet; the folder may hold a site (see `copyTo`). */
  static at(options: EngineOptions = {}): Engine {
    return new Engine(options);
  }

  /** A new test site, with everything running. Returns the first enrolment token beside it. */
  static async create(options: EngineOptions = {}): Promise<{ engine: Engine; enrolmentToken: string }> {
    const engine = new Engine(options);
    const enrolmentToken = await engine.initSite();
    await engine.start();
    return { engine, enrolmentToken };
  }

  /** Makes the site; returns the first enrolment token. */
  async initSite(
    more: readonly string[] = [],
    options: Parameters<Engine['command']>[1] = {},
  ): Promise<string> {
    const args = ['site', 'init', '--name', 'TEST', '--test-site', ...more];
    return tokenIn((await this.run(args, options)).stdout);
  }

  /** Another enrolment token. */
  async newEnrolmentToken(uses = 100): Promise<string> {
    const args = ['enrolment-tokens', 'create', '--uses', String(uses)];
    return tokenIn((await this.run(args)).stdout);
  }

  /** The site database where it is not SQLite in the home folder. */
  get storeUrl(): string | undefined {
    return this.options.storeUrl;
  }

  /** Where clients connect. */
  get url(): string {
    return `https://localhost:${this.#port}`;
  }

  /** Health, readiness and metrics of the gateway. */
  get opsUrl(): string {
    return `http://127.0.0.1:${this.#opsPort}`;
  }

  /** The environment of every process and command: nothing of ours but PATH and a home. */
  environment(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.folder,
      NO_COLOR: '1',
      MPE_HOME: this.home,
      MPE_REDIS_URL: this.redis.url,
      ...(this.options.quickRecovery === true ? QUICK_RECOVERY : {}),
      MPE_GATEWAY_LISTEN: `127.0.0.1:${this.#port}`,
      MPE_GATEWAY_OPS_LISTEN: `127.0.0.1:${this.#opsPort}`,
      ...(this.options.storeUrl === undefined ? {} : { MPE_STORE_URL: this.options.storeUrl }),
      ...this.options.settings,
    };
  }

  #environmentOf(role: 'gateway' | 'worker'): Record<string, string> {
    return {
      ...this.environment(),
      MPE_KEYS_DIR: this.keysOf(role),
      ...this.options.roleSettings?.[role],
    };
  }

  /** Starts Redis, the gateway and the workers, and waits until they serve. */
  async start(): Promise<void> {
    this.#giveKeys('gateway');
    this.#giveKeys('worker');
    if (this.redis.pid === 0) await this.redis.start();
    await this.startGateway();
    await Promise.all(
      Array.from({ length: this.options.workers ?? 1 }, async (_, index) => this.startWorker(index)),
    );
  }

  /** The part of the key folder that a role gets, as on a host of its own. */
  keysOf(role: 'gateway' | 'worker'): string {
    return join(this.folder, `keys-${role}`);
  }

  #giveKeys(role: 'gateway' | 'worker'): void {
    const to = this.keysOf(role);
    mkdirSync(to, { recursive: true, mode: 0o700 });
    for (const part of ['site.json', role]) copyWithModes(join(this.home, 'keys', part), join(to, part));
  }

  /** Starts the gateway, on the same ports as before. */
  async startGateway(): Promise<void> {
    if (this.#port === 0) [this.#port, this.#opsPort] = [await ownPort(), await ownPort()];
    const gateway = EngineProcess.start({
      name: 'gateway',
      args: ['gateway'],
      env: this.#environmentOf('gateway'),
      logFile: join(this.logs, 'gateway.log'),
    });
    this.gateway = gateway;
    await gateway.waitForEvent('gateway.listening', START_MS);
  }

  /** Starts worker number `index` (from 0). */
  async startWorker(index: number): Promise<void> {
    const worker = EngineProcess.start({
      name: `worker-${index + 1}`,
      args: ['worker', '--processes', '1', '--concurrency', String(this.options.concurrency ?? 64)],
      env: this.#environmentOf('worker'),
      logFile: join(this.logs, `worker-${index + 1}.log`),
    });
    this.workers[index] = worker;
    await worker.waitForEvent('worker.ready', START_MS);
  }

  /** Every running `mpe` process. */
  processes(): EngineProcess[] {
    return [this.gateway, ...this.workers].filter((one) => one?.running === true) as EngineProcess[];
  }

  /** Orderly stop of everything: gateway, workers, Redis. The data stays. */
  async stop(): Promise<void> {
    await this.gateway?.stop();
    await Promise.all(this.workers.map(async (worker) => worker?.stop()));
    this.gateway = null;
    this.workers.length = 0;
    await this.redis.kill('SIGTERM');
  }

  /** Ends whatever runs, proves that nothing is left, and removes the folder. */
  async dispose(): Promise<void> {
    await Promise.all(this.processes().map(async (one) => one.kill()));
    await this.redis.kill();
    await expectNoLeftovers(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A stopped engine's site, copied to another folder: the same keys, clients and rows. */
  copyTo(folder: string): void {
    copyWithModes(this.home, join(folder, 'home'));
  }

  /** Runs `mpe …` and returns what it printed, whatever the exit code. */
  async command(
    args: readonly string[],
    more: { readonly settings?: Readonly<Record<string, string>>; readonly input?: string } = {},
  ): Promise<CommandResult> {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: ROOT,
      env: { ...this.environment(), ...more.settings },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.end(more.input ?? '');
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
  }

  /** Runs `mpe …` and fails unless it ends with 0. */
  async run(args: readonly string[], more: Parameters<Engine['command']>[1] = {}): Promise<CommandResult> {
    const result = await this.command(args, more);
    if (result.code !== 0)
      throw new Error(`mpe ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`);
    return result;
  }

  /** Leaves everything running after our own end. */
  release(): void {
    for (const one of this.processes()) one.release();
    this.redis.release();
  }

  /** Every log file's text, by name. */
  logTexts(): Map<string, string> {
    return new Map(readdirSync(this.logs).map((name) => [name, readFileSync(join(this.logs, name), 'utf8')]));
  }
}

function tokenIn(stdout: string): string {
  const token = /mpe1\.[0-9a-f]{32}\.[\w-]+\.[\w-]+/.exec(stdout)?.[0];
  if (token === undefined) throw new Error(`no enrolment token was printed:\n${stdout}`);
  return token;
}
