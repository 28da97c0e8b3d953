import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { startGateway } from '../ingest/gateway.js';
import { systemClock } from '../ops/clock.js';
import { createLogger } from '../ops/log.js';
import { Shutdown } from '../ops/shutdown.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { openStore } from '../store/open-store.js';

/** A gateway's drain: above it lies the grace of 30 s that service managers give. */
const DRAIN_MS = 15_000;

/** `mpe gateway`: takes messages over HTTPS and puts them into the queue. */
export function register(program: Command): void {
  program
    .command('gateway')
    .description('take messages from clients over HTTPS and queue them for the workers')
    .action(run);
}

async function run(): Promise<void> {
  const config = loadConfig();
  const log = createLogger('gateway', config);
  const clock = systemClock(config.test.clockOffsetMs);
  const keyFolder = await openKeyFolder(config.keysDir, 'gateway');
  // A gateway looks outcomes and clients up and never writes.
  const store = await openStore(config.store, { readOnly: true, clock, kind: 'gateway' });
  const gateway = await startGateway({ config, store, keyFolder, log, clock }).catch(
    async (error: unknown) => {
      await store.close();
      throw error;
    },
  );
  new Shutdown(log, DRAIN_MS).add({
    name: 'gateway',
    drain: async () => {
      await gateway.close(DRAIN_MS - 5000);
      await store.close();
    },
  });
}
