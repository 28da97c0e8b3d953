// Takes one job and never ends it; the test kills this process.
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [path, prefix] = process.argv.slice(2);
const connection = new Redis({ path, maxRetriesPerRequest: null });
const worker = new Worker('messages', () => new Promise(() => undefined), {
  connection,
  prefix,
  // On a busy machine it may find its own job abandoned: then it takes it again, and BullMQ must not fail it.
  lockDuration: 3000,
  stalledInterval: 300,
  maxStalledCount: 1_000_000,
});
worker.on('error', () => undefined);
await worker.waitUntilReady();
process.send('ready');
