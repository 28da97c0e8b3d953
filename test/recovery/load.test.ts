import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { leastOfRounds, longestHeld } from '../support/held.js';
import { Vault } from './support.js';

const SECRETS = 4000;
/**
 * Between two turns of the event loop: of work a slice of 15 ms, one page and one RSA operation, and threefold
 * slack; by the clock what even a process that gets a tenth of a processor needs for that.
 */
const HELD = { workMs: 100, wallMs: 1000 };

/** The memory that is held, without what only waits for its collection. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('thousands of secrets: no more memory, and the event loop stays free', async () => {
  const vault = await Vault.create();
  for (let from = 1; from <= SECRETS; from += 500) {
    // Each batch by another worker, under a data key of its own.
    vault.ring = vault.newRing();
    await vault.commit(...(await vault.passwords(from, from + 499)));
  }
  const canary = await vault.canary({ sample: SECRETS });
  await canary.round();
  const before = heldBytes();
  let [opened, rounds] = [0, 0];
  const round = async (): Promise<void> => {
    opened += (await canary.round()).opened;
    rounds += 1;
  };
  const held = await leastOfRounds(() => longestHeld(round), HELD);
  const grownMb = (heldBytes() - before) / 2 ** 20;
  console.log(
    `canary: event loop held ${held.workMs.toFixed(0)} ms at most (${held.wallMs.toFixed(0)} by the clock), ` +
      `heap ${grownMb.toFixed(0)} MiB more after ${opened} secrets`,
  );
  expect(opened).toBe(rounds * SECRETS);
  expect(held.workMs).toBeLessThan(HELD.workMs);
  expect(held.wallMs).toBeLessThan(HELD.wallMs);
  expect(grownMb).toBeLessThan(64);
}, 600_000);
