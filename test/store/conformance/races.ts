import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import type { MakeDatabase, TestDatabase } from '../conformance.js';
import { RACE_CLIENTS, raceMessages, raceModel } from '../race-messages.js';
import { DATA_KEY, register, siteSeed } from '../world.js';
import { hashText } from './readers.js';

const WORKER = join(import.meta.dirname, '..', 'race-worker.ts');
const MESSAGES = 300;
/** `MPE_TEST_SEED=12 npx vitest run test/store` runs another race. */
const SEED = Number(process.env['MPE_TEST_SEED'] ?? '7');

/** Groups after which a process that is to be killed stands still: it never gets to its end before that. */
const STAND_STILL_AFTER = 40;

/** Runs one process; with `killAfter`, ends it by SIGKILL after so many groups. Gives what it said it wrote. */
async function run(
  database: TestDatabase,
  messageSeed: number,
  ownSeed: number,
  killAfter: number | null = null,
  count = MESSAGES,
): Promise<{ written: number[]; ended: boolean; groups: number }> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      WORKER,
      JSON.stringify(database.location),
      ...[count, messageSeed, ownSeed, killAfter === null ? 0 : STAND_STILL_AFTER].map(String),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const written: number[] = [];
  let ended = false;
  let groups = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('w ')) written.push(Number(line.slice(2)));
    if (line === 'end') ended = true;
    if (line === 'g') groups += 1;
    if (killAfter !== null && groups >= killAfter) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return { written, ended, groups };
}

/** Several real processes on one database. */
export function races(make: MakeDatabase): void {
  describe('races', () => {
    it('several processes start at once on an empty database', { timeout: 180_000 }, async () => {
      const database = await make();
      const runs = await Promise.all([1, 2, 3, 4].map((own) => run(database, 1, own, null, 0)));
      expect(runs.map((one) => one.ended)).toEqual([true, true, true, true]);
      const store = await database.open();
      await store.createSite(siteSeed());
      await store.close();
    });

    it(
      'four processes with the same 300 messages, one killed and started again: each message once, all as the model says',
      { timeout: 300_000 },
      async () => {
        const seed = SEED;
        const database = await make();
        const store = await database.open();
        await store.createSite(siteSeed());
        await store.insertDataKey(DATA_KEY);
        await register(store, ...Array.from({ length: RACE_CLIENTS }, (_, n) => n + 1));

        const killed = run(database, seed, seed + 100, 8).then(async (first) => [
          first,
          await run(database, seed, 100),
        ]);
        const others = [101, 102, 103].map((own) => run(database, seed, seed + own));
        const [[first, again], ...rest] = await Promise.all([killed, ...others]);

        expect(first!.ended).toBe(false);
        for (const one of [again!, ...rest]) expect(one.ended).toBe(true);
        const model = raceModel(raceMessages(MESSAGES, seed));
        // Nobody wrote what somebody else wrote; what nobody told was committed by the killed one.
        const told = [first!, again!, ...rest].flatMap((one) => one.written);
        expect(new Set(told).size).toBe(told.length);
        expect(model.outcomes - told.length).toBeGreaterThanOrEqual(0);
        expect(model.outcomes - told.length).toBeLessThanOrEqual(12);
        expect(await store.counts()).toMatchObject({
          outcomes: model.outcomes,
          keys: model.keys,
          secrets: model.keys,
          damagedSecrets: 0,
        });
        expect(await hashText(store)).toEqual(model.hash);
        await store.close();
      },
    );
  });
}
