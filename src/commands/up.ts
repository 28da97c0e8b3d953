import type { Command } from 'commander';
import { loadConfig, type Config } from '../config/index.js';
import { createLogger, type Logger } from '../ops/log.js';
import { Shutdown } from '../ops/shutdown.js';
import { holdsCertificateKey } from '../secrets/held-certificates.js';
import { openKeyFolder, type KeyFolder } from '../secrets/key-folder.js';
import { Supervisor, type ChildSpec } from '../workers/supervisor.js';
import { numberOption } from './number-option.js';
import { warn } from './output.js';
import { redisIsGiven, startPrivateRedis } from './up-redis.js';
import { requireSite, withStore } from './with-store.js';

interface Options {
  readonly processes?: number;
  readonly concurrency?: number;
}

/** For a gateway's, the workers' and Redis' ends, beside the workers' drain. */
const SHUTDOWN_MARGIN_MS = 10_000;

/** `mpe up`: everything on one host. */
export function register(program: Command): void {
  program
    .command('up')
    .description(
      'run a gateway, workers, the recovery service and (without MPE_REDIS_URL) a private Redis on this host',
    )
    .option('--processes <n>', 'worker processes (MPE_WORKER_PROCESSES)', numberOption('--processes', 1, 256))
    .option(
      '--concurrency <m>',
      'messages a worker works on at once (MPE_WORKER_CONCURRENCY)',
      numberOption('--concurrency', 1, 1000),
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const config = loadConfig();
  const log = createLogger('up', config);
  // What would end every child at its start ends here, once and with its text.
  const keyFolder = await openKeyFolder(config.keysDir, 'gateway');
  await openKeyFolder(config.keysDir, 'worker');
  await withStore(config, requireSite);

  const shutdown = new Shutdown(log, config.worker.drainMs + SHUTDOWN_MARGIN_MS);
  const redis = redisIsGiven() ? null : await startPrivateRedis(config.home, log);
  const env = { ...process.env, ...(redis === null ? {} : { MPE_REDIS_URL: redis.url }) };
  const hopeless = (name: string): void => void shutdown.end(`${name} cannot start`, 2);

  const processes = options.processes ?? config.worker.processes;
  const ready = new Readiness(processes, redis === null, log);
  const gateway = new Supervisor([{ name: 'gateway', args: ['gateway'], env, onLine: ready.line }], {
    log,
    onHopeless: hopeless,
  });
  const workers = new Supervisor(workerSpecs(config, options, processes, env, ready.line), {
    log,
    onHopeless: hopeless,
  });
  const recovery = recoverySupervisor(keyFolder, env, log);
  // In this order: nothing new comes in, then what is there is finished, then the queue goes.
  shutdown.add({ name: 'gateway', drain: (s) => gateway.stop(s), force: () => gateway.force() });
  shutdown.add({ name: 'workers', drain: (s) => workers.stop(s), force: () => workers.force() });
  shutdown.add({ name: 'recovery', drain: (s) => recovery.stop(s), force: () => recovery.force() });
  if (redis !== null) shutdown.add({ name: 'redis', drain: () => redis.stop(), force: () => redis.stop() });
  if (shutdown.signal.aborted) return;
  workers.start();
  gateway.start();
  recovery.start();
}

/**
 * The recovery service, unless the certificate's key is kept on another host. It stands apart: whatever is
 * wrong with it is said loudly and again, and escrow goes on.
 */
function recoverySupervisor(keyFolder: KeyFolder, env: ChildSpec['env'], log: Logger): Supervisor {
  const { path, certificateThumbprint } = keyFolder;
  const here = certificateThumbprint === null || holdsCertificateKey(path);
  if (!here) {
    log.warn(
      { event: 'up.no_recovery' },
      `no certificate with its key in ${path}: nothing on this host watches that stored keys can be ` +
        'read. Run "mpe recovery" where the certificate is',
    );
  }
  return new Supervisor(here ? [{ name: 'recovery', args: ['recovery'], env }] : [], {
    log,
    onHopeless: () => log.error({ event: 'up.recovery_ended' }, 'the recovery service cannot start'),
  });
}

function workerSpecs(
  config: Config,
  options: Options,
  processes: number,
  env: ChildSpec['env'],
  onLine: (line: string) => void,
): ChildSpec[] {
  const concurrency = String(options.concurrency ?? config.worker.concurrency);
  return Array.from({ length: processes }, (_, index) => ({
    name: `worker-${index + 1}`,
    args: ['worker', '--processes', '1', '--concurrency', concurrency],
    env,
    onLine,
  }));
}

/** Reads the children's logs until all of them serve, then says so once. */
class Readiness {
  readonly #workers: number;
  readonly #givenRedis: boolean;
  readonly #log: Logger;
  #ready = 0;
  #gateway: { readonly url: string; readonly opsUrl: string | null } | null = null;
  #told = false;

  constructor(workers: number, givenRedis: boolean, log: Logger) {
    this.#workers = workers;
    this.#givenRedis = givenRedis;
    this.#log = log;
  }

  readonly line = (text: string): void => {
    if (this.#told || !text.includes('"event":"')) return;
    let line: Record<string, unknown>;
    try {
      line = JSON.parse(text) as Record<string, unknown>;
    } catch {
      return;
    }
    if (line['event'] === 'worker.ready') this.#ready += 1;
    if (line['event'] === 'gateway.listening') this.#gateway = urlsOf(line);
    if (this.#gateway === null || this.#ready < this.#workers) return;
    this.#told = true;
    const { url, opsUrl } = this.#gateway;
    this.#log.info({ event: 'up.ready', url, opsUrl, workers: this.#workers });
    warn(
      `mpe is up: ${url}   ${opsUrl === null ? '' : `health and metrics ${opsUrl}   `}` +
        `${this.#workers} worker processes   ${this.#givenRedis ? 'Redis of MPE_REDIS_URL' : 'private Redis'}   Ctrl-C stops it`,
    );
  };
}

function urlsOf(line: Record<string, unknown>): { url: string; opsUrl: string | null } {
  const scheme = line['tls'] === false ? 'http' : 'https';
  const port = Number(line['port']);
  const ops = line['opsPort'];
  return {
    url: `${scheme}://localhost:${port}`,
    opsUrl: typeof ops === 'number' ? `http://127.0.0.1:${ops}` : null,
  };
}
