// Takes one job and never ends it; the test kills this process.
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [path, prefix] = process.argv.slice(2);
const connection = new Redis({ path, maxRetriesPerRequest: null });
const worker = new Worker('messages', () => new Promise(() => undefined), {
  connection,
  prefix,
  lockDuration: 1000,
  stalledInterval: 300,
});
worker.on('error', () => undefined);
await worker.waitUntilReady();
process.send('ready');
