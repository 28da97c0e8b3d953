import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { startOpsServer } from '../ops/http.js';
import { createLogger, type Logger } from '../ops/log.js';
import { Shutdown } from '../ops/shutdown.js';
import { startRecovery, type RunningRecovery } from '../recovery/run.js';
import { pageProblem, portalPages } from '../recovery/service/pages.js';
import { recoveryServices } from '../recovery/service/services.js';
import { startRecoveryService, type RecoveryService } from '../recovery/service/start.js';
import { openStore } from '../store/open-store.js';
import type { SiteStore } from '../store/site-store.js';
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
  let service: RecoveryService | null = null;
  try {
    const site = await requireSite(store);
    const clock = clockOf(config, site.testSite);
    recovery = await startRecovery({ config, store, log, clock });
    service = await servePortals(config, recovery, store, clock, log);
    // `systemctl reload` and deploy hooks of certificate tools send it. Without portals it ends the process.
    const tls = service;
    if (tls !== null) process.on('SIGHUP', () => tls.reloadTls());
    await serveOps(config, recovery, service, shutdown, log);
  } catch (error) {
    await service?.close();
    await recovery?.close();
    await store.close();
    throw error;
  }
  const running = recovery;
  const portals = service;
  if (portals !== null) shutdown.add({ name: 'portals', drain: () => portals.close() });
  shutdown.add({ name: 'canary', drain: () => running.close() });
  shutdown.add({ name: 'store', drain: () => store.close() });
}

/** The portals and the API; null where they are off. */
async function servePortals(
  config: Config,
  recovery: RunningRecovery,
  store: SiteStore,
  clock: Clock,
  log: Logger,
): Promise<RecoveryService | null> {
  const settings = config.recovery.service;
  if (settings.listen === null) return null;
  const { disclosure } = recovery;
  return startRecoveryService({
    ...{ settings, store, clock, log, audit: disclosure },
    services: recoveryServices({ store, clock, log, disclosure }),
    pages: [portalPages],
    problemPage: pageProblem,
    onTls: (chainPem) => recovery.watchTls(chainPem),
  });
}

async function serveOps(
  config: Config,
  recovery: RunningRecovery,
  service: RecoveryService | null,
  shutdown: Shutdown,
  log: Logger,
): Promise<void> {
  const listen = config.recovery.opsListen;
  if (listen === null) return;
  const server = await startOpsServer({
    ...{ listen, log },
    checks: { ...recovery.checks, ...(service === null ? {} : { portals: service.check }) },
    draining: () => shutdown.signal.aborted,
    metrics: () => recovery.metrics.scrape(),
  });
  log.info({ event: 'recovery.ops_listening', host: listen.host, opsPort: server.port });
  shutdown.add({ name: 'ops', drain: () => server.close() });
}
