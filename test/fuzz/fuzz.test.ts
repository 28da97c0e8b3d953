import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestGateway } from '../ingest/support.js';
import { TestRedis } from '../support/redis.js';
import { fixtureTarget } from './fixture-files.js';
import { gatewayTarget } from './gateway-http.js';
import { inputs, mutate, type FuzzInput } from './mutations.js';
import { protobufTarget } from './protobuf.js';
import type { FuzzTarget } from './target.js';
import { guardTarget, openTarget } from './tokens.js';

/**
 * Generative fuzzing. `npm test` gives each target a second and runs every kept crash again;
 * `npm run fuzz -- --seconds 600` gives them longer. An input that breaks a promise is shrunk and
 * kept under crashes/, so that it is a test from then on.
 */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? '5');
// Another seed in each fuzzing run; the same one in `npm test`, which is to say the same of the same source.
const FUZZING = process.env['FUZZ_SECONDS'] !== undefined;
const SEED = Number(process.env['FUZZ_SEED'] ?? (FUZZING ? Date.now() % 2 ** 31 : 1));
const CRASHES = join(import.meta.dirname, 'crashes');

const LEAST_INPUTS = 12;
const TARGETS = ['jose-guard', 'jose-open', 'protobuf', 'fixture-files', 'gateway-http'] as const;
type Name = (typeof TARGETS)[number];

describe(`fuzz, seed ${SEED}, ${SECONDS} s over all targets`, () => {
  let redis: TestRedis;
  let gateway: TestGateway;
  const targets = new Map<Name, FuzzTarget>();

  beforeAll(async () => {
    redis = await TestRedis.start();
    gateway = await TestGateway.start(redis);
    const made = [
      await guardTarget(),
      await openTarget(),
      protobufTarget(),
      fixtureTarget(),
      await gatewayTarget(gateway),
    ];
    for (const target of made) targets.set(target.name as Name, target);
  });
  afterAll(async () => {
    await gateway.close();
    await redis.stop();
  });

  const crashes = existsSync(CRASHES) ? readdirSync(CRASHES).filter((file) => file.endsWith('.bin')) : [];
  it.each(crashes)('kept crash %s is handled', async (file) => {
    const name = TARGETS.find((target) => file.startsWith(`${target}-`));
    expect(name, 'the file is named after its target').toBeDefined();
    await targets.get(name!)!.run(readFileSync(join(CRASHES, file)));
  });

  it.each(TARGETS)(
    '%s keeps its promise',
    async (name) => {
      const target = targets.get(name)!;
      for (const seed of target.seeds) await target.run(Buffer.from(seed));
      const property = fc.asyncProperty(inputs(target.seeds.length, target.words), async (input) => {
        await target.run(bytesOf(target, input));
      });
      // Some, however busy the machine is; then as many as the time allows.
      const least = await fc.check(property, { seed: SEED, numRuns: LEAST_INPUTS });
      const details = least.failed
        ? least
        : await fc.check(property, {
            seed: SEED + 1,
            numRuns: 100_000_000,
            interruptAfterTimeLimit: (SECONDS * 1000) / TARGETS.length,
            markInterruptAsFailure: false,
          });
      const [counterexample] = details.counterexample ?? [];
      if (counterexample !== undefined) {
        const bytes = bytesOf(target, counterexample);
        const file = `${name}-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}.bin`;
        mkdirSync(CRASHES, { recursive: true });
        writeFileSync(join(CRASHES, file), bytes);
        const cause = details.errorInstance;
        throw new Error(`seed ${details.seed}, after ${details.numRuns} inputs, kept as crashes/${file}`, {
          cause,
        });
      }
      console.log(`${name}: ${least.numRuns + details.numRuns} inputs`);
      expect(least.numRuns, 'inputs tried').toBe(LEAST_INPUTS);
    },
    (SECONDS + 180) * 1000,
  );
});

function bytesOf(target: FuzzTarget, input: FuzzInput): Buffer {
  return mutate(target.seeds[input.seed] ?? Buffer.alloc(0), input.mutations);
}
