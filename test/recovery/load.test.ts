import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Vault } from './support.js';

const SECRETS = 4000;

test('thousands of secrets: no more memory, and the event loop stays free', async () => {
  const vault = await Vault.create();
  for (let from = 1; from <= SECRETS; from += 500) {
    // Each batch by another worker, under a data key of its own.
    vault.ring = vault.newRing();
    await vault.commit(...(await vault.passwords(from, from + 499)));
  }
  const canary = await vault.canary({ sample: SECRETS });
  await canary.round();
  const before = process.memoryUsage().heapUsed;
  // What a busy machine takes from a process that does nothing.
  const idle = monitorEventLoopDelay({ resolution: 5 });
  idle.enable();
  await sleep(500);
  idle.disable();
  const startedAt = performance.now();
  let opened = 0;
  // What the canary itself holds, it holds in every round; a busy machine holds some.
  let longestMs = Infinity;
  for (let i = 0; i < 3; i += 1) {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    opened += (await canary.round()).opened;
    delay.disable();
    longestMs = Math.min(longestMs, delay.max / 1e6);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const grownMb = (process.memoryUsage().heapUsed - before) / 2 ** 20;
  console.log(
    `canary: ${Math.round(opened / seconds)} secrets a second, event loop held ${longestMs.toFixed(0)} ms at most, ` +
      `heap ${grownMb.toFixed(0)} MiB more after ${opened} secrets`,
  );
  expect(opened).toBe(3 * SECRETS);
  expect(longestMs).toBeLessThan(100 + idle.max / 1e6);
  expect(grownMb).toBeLessThan(64);
}, 180_000);
