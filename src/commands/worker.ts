import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { startOpsServer } from '../ops/http.js';
import { createLogger, type Logger } from '../ops/log.js';
import { Shutdown } from '../ops/shutdown.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { openStore } from '../store/open-store.js';
import { checkPoolSize } from '../workers/start-checks.js';
import { startWorker, type RunningWorker } from '../workers/runtime.js';
import { obeySupervisor, Supervisor } from '../workers/supervisor.js';
import type { SiteStore } from '../store/site-store.js';
import { numberOption } from './number-option.js';
import { requireSite, withStore } from './with-store.js';

interface Options {
  readonly processes?: number;
  readonly concurrency?: number;
}

/** Beyond the drain, for what comes after it: closing connections, ending children. */
const SHUTDOWN_MARGIN_MS = 3000;

/** `mpe worker`: processes messages until it is told to stop. */
export function register(program: Command): void {
  program
    .command('worker')
    .description('process messages; start as many as you like, on any host')
    .option('--processes <n>', 'worker processes (MPE_WORKER_PROCESSES)', numberOption('--processes', 1, 256))
    .option(
      '--concurrency <m>',
      'messages a process works on at once (MPE_WORKER_CONCURRENCY)',
      numberOption('--concurrency', 1, 1000),
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const config = loadConfig();
  const processes = options.processes ?? config.worker.processes;
  const concurrency = options.concurrency ?? config.worker.concurrency;
  if (processes > 1) await supervise(config, processes, concurrency);
  else await work(config, concurrency);
}

/** One process that works. */
async function work(config: Config, concurrency: number): Promise<void> {
  const log = createLogger('worker', config);
  const keyFolder = await openKeyFolder(config.keysDir, 'worker');
  const shutdown = new Shutdown(log, config.worker.drainMs + SHUTDOWN_MARGIN_MS);
  obeySupervisor(() => void shutdown.end('the supervising process is gone'));
  checkPoolSize(config.store, concurrency);
  const store = await openStore(config.store, { concurrency, kind: 'worker' });
  const site = await requireSite(store);
  const worker = await startWorker({
    ...{ config, store, keyFolder, log, concurrency },
    clock: clockOf(config, site.testSite),
    onFatal: (error) => {
      log.fatal({ event: 'worker.fatal', error }, 'ending, so that a fresh process takes over');
      void shutdown.end('fatal', 1);
    },
  });
  shutdown.add({
    name: 'worker',
    drain: () => worker.close(),
    force: () => worker.close({ force: true }),
  });
  await serveOps(config, worker, store, shutdown, log);
  shutdown.add({ name: 'store', drain: () => store.close() });
}

async function serveOps(
  config: Config,
  worker: RunningWorker,
  store: SiteStore,
  shutdown: Shutdown,
  log: Logger,
): Promise<void> {
  const listen = config.worker.opsListen;
  if (listen === null) return;
  const server = await startOpsServer({
    listen,
    checks: {
      queue: () => (worker.ready() ? Promise.resolve() : Promise.reject(new Error('takes no jobs now'))),
      store: () => store.probeWrite(`readiness ${process.pid}`),
    },
    draining: () => shutdown.signal.aborted,
    metrics: () => worker.metrics.scrape(),
    log,
  });
  log.info({ event: 'worker.ops_listening', host: listen.host, opsPort: server.port });
  shutdown.add({ name: 'ops', drain: () => server.close() });
}

/** Several processes: this one only keeps them running. */
async function supervise(config: Config, processes: number, concurrency: number): Promise<void> {
  const log = createLogger('worker-supervisor', config);
  // What would end every child at its start ends here, once and with its text.
  await openKeyFolder(config.keysDir, 'worker');
  checkPoolSize(config.store, concurrency);
  await withStore(config, requireSite);
  const shutdown = new Shutdown(log, config.worker.drainMs + 2 * SHUTDOWN_MARGIN_MS);
  const supervisor = new Supervisor(
    Array.from({ length: processes }, (_, index) => ({
      name: `worker-${index + 1}`,
      args: ['worker', '--processes', '1', '--concurrency', String(concurrency)],
      env: process.env,
    })),
    { log, onHopeless: (name) => void shutdown.end(`${name} cannot start`, 2) },
  );
  shutdown.add({
    name: 'workers',
    drain: (signal) => supervisor.stop(signal),
    force: () => supervisor.force(),
  });
  obeySupervisor(() => void shutdown.end('the supervising process is gone'));
  supervisor.start();
}
