import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { startOpsServer } from '../ops/http.js';
import { createLogger, type Logger } from '../ops/log.js';
import { Shutdown } from '../ops/shutdown.js';
import { startRecovery, type RunningRecovery } from '../recovery/run.js';
import { openStore } from '../store/open-store.js';
import { obeySupervisor } from '../workers/supervisor.js';
import { requireSite } from './with-store.js';

/** A round ends at its next step; the rest is closing. */
const DRAIN_MS = 15_000;

/** `mpe recovery`: the one process that holds the certificate's private key. */
export function register(program: Command): void {
  program
    .command('recovery')
    .description(
      'watch that every stored key can be read (the canary); the one process that opens the certificate',
    )
    .action(run);
}

async function run(): Promise<void> {
  const config = loadConfig();
  const log = createLogger('recovery', config);
  const shutdown = new Shutdown(log, DRAIN_MS);
  obeySupervisor(() => void shutdown.end('the supervising process is gone'));
  const store = await openStore(config.store, { kind: 'recovery' });
  let recovery: RunningRecovery | null = null;
  try {
    const site = await requireSite(store);
    recovery = await startRecovery({ config, store, log, clock: clockOf(config, site.testSite) });
    await serveOps(config, recovery, shutdown, log);
  } catch (error) {
    await recovery?.close();
    await store.close();
    throw error;
  }
  const running = recovery;
  shutdown.add({ name: 'canary', drain: () => running.close() });
  shutdown.add({ name: 'store', drain: () => store.close() });
}

async function serveOps(
  config: Config,
  recovery: RunningRecovery,
  shutdown: Shutdown,
  log: Logger,
): Promise<void> {
  const listen = config.recovery.opsListen;
  if (listen === null) return;
  const server = await startOpsServer({
    ...{ listen, log, checks: recovery.checks },
    draining: () => shutdown.signal.aborted,
    metrics: () => recovery.metrics.scrape(),
  });
  log.info({ event: 'recovery.ops_listening', host: listen.host, opsPort: server.port });
  shutdown.add({ name: 'ops', drain: () => server.close() });
}
