import fc from 'fast-check';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { evidenceOf } from '../../src/recovery/rotation/evidence.js';
import { rotationState } from '../../src/recovery/rotation/state.js';
import { openStore } from '../../src/store/open-store.js';
import type { CommitCandidate, SiteStore } from '../../src/store/site-store.js';
import { send } from '../store/conformance/commits.js';
import { candidate, id, register, siteSeed, T0, type MessageSpec } from '../store/world.js';
import { tempFolder } from '../support/temp.js';

// Whatever clients send and in whatever order it arrives: COMPLETED means E1 and E2 (R5). The oracle is
// written from the design, over the list of what arrived, and knows nothing of the store.

/** Keys of the volume: 0 is exposed first, 1 and 2 may come after it. */
const KEYS = [0, 1, 2] as const;

interface Sent {
  readonly kind: 'message';
  /** 0 or 1. */
  readonly client: number;
  readonly sequence: number;
  /** Whether it calls the volume a removable drive. */
  readonly removable: boolean;
  readonly listed: readonly number[];
  readonly brought: readonly number[];
}
type Step = Sent | { readonly kind: 'expose'; readonly key: number };

const some = fc.subarray([...KEYS]);
const message = fc.record({ client: fc.constantFrom(0, 0, 1), listed: some, brought: some }).map((one) => ({
  kind: 'message' as const,
  ...one,
  brought: one.brought.filter((k) => one.listed.includes(k)),
}));

/** What each of the two says of the volume; the second may lie. */
const types = fc.tuple(fc.boolean(), fc.boolean());

/** A client's messages have rising sequences; they arrive in any order, with exposures between them. */
const course = fc
  .tuple(fc.array(message, { minLength: 1, maxLength: 8 }), types)
  .chain(([messages, removable]) => {
    const counts = [0, 0];
    const numbered = messages.map((one): Sent => ({
      ...one,
      removable: removable[one.client],
      sequence: (counts[one.client]! += 1),
    }));
    return fc.tuple(
      fc.constant(removable[0]),
      fc.shuffledSubarray(numbered, { minLength: numbered.length }),
      fc.array(fc.record({ at: fc.nat(8), key: fc.constantFrom(0, 1) }), { maxLength: 2 }),
      fc.nat(8),
    );
  })
  .map(([removable, arriving, more, at]): Step[] => {
    const steps: Step[] = [...arriving];
    for (const { at: place, key } of [{ at, key: 0 }, ...more])
      steps.splice(Math.min(place, steps.length), 0, { kind: 'expose', key });
    // The escrow that the story begins with.
    return [{ kind: 'message', client: 0, sequence: 0, removable, listed: [0], brought: [0] }, ...steps];
  });

/** What the design says of key 0, over everything that arrived. */
class Oracle {
  readonly #proofs = new Map<string, number>();
  readonly #highest = [-1, -1];
  readonly #reports: (Sent | null)[] = [null, null];
  readonly #exposed = new Set<number>();
  readonly #ranks: (number | null)[] = [null, null];

  take(step: Step): void {
    if (step.kind === 'expose') {
      this.#exposed.add(step.key);
      if (step.key !== 0) return;
      for (const client of [0, 1])
        if (this.#proofs.has(`${client}/0`)) this.#ranks[client] = this.#highest[client]!;
      return;
    }
    const { client, sequence, brought } = step;
    for (const key of brought)
      if (!this.#proofs.has(`${client}/${key}`)) this.#proofs.set(`${client}/${key}`, sequence);
    this.#highest[client] = Math.max(this.#highest[client]!, sequence);
    if (sequence > (this.#reports[client]?.sequence ?? -1)) this.#reports[client] = step;
  }

  #after(client: number, sequence: number, proofToo: boolean): boolean {
    const proof = this.#proofs.get(`${client}/0`);
    const rank = this.#ranks[client] ?? null;
    if (proof === undefined) return false;
    if (rank !== null) return sequence > rank;
    return proofToo ? sequence >= proof : sequence > proof;
  }

  /** Those who had the key when it was exposed. */
  #then(): number[] {
    return [0, 1].filter((client) => this.#ranks[client] !== null);
  }

  /** A drive that moves, by the word of those who had it then. */
  #moves(): boolean {
    return this.#then().every((client) => this.#reports[client]?.removable === true);
  }

  /** Whose evidence counts: those who had it then; of a drive that moves, the next holder too. */
  #counted(): number[] {
    const then = this.#then();
    return then.length === 0 || this.#moves() ? [0, 1] : then;
  }

  /** Somebody who had it then lists it still, and it is not a drive that moves. */
  isThere(): boolean {
    return !this.#moves() && this.#then().some((client) => this.#reports[client]?.listed.includes(0));
  }

  e1(): boolean {
    return this.#counted().some((client) => this.e1Of(client));
  }

  /** E1 by one client: a key that nobody had proven at the exposure. */
  e1Of(client: number): boolean {
    const known = (key: number): boolean =>
      [0, 1].some((one) => {
        const proof = this.#proofs.get(`${one}/${key}`);
        const rank = this.#ranks[one] ?? null;
        return proof !== undefined && rank !== null && proof <= rank;
      });
    return [1, 2].some((key) => {
      const proof = this.#proofs.get(`${client}/${key}`);
      return (
        proof !== undefined && !this.#exposed.has(key) && !known(key) && this.#after(client, proof, true)
      );
    });
  }

  /** Whether a client is to be told: it has the key and has not replaced it. */
  tells(client: number): boolean {
    return this.#proofs.has(`${client}/0`) && !this.e1Of(client);
  }

  e2(): boolean {
    return this.#counted().some((client) => {
      const report = this.#reports[client] ?? null;
      return report !== null && !report.listed.includes(0) && this.#after(client, report.sequence, false);
    });
  }
}

let store: SiteStore;
beforeAll(async () => {
  store = await openStore({ kind: 'sqlite', path: join(tempFolder('mpe-order-'), 'site.db') });
  await store.createSite(siteSeed(100_000));
});
afterAll(() => store.close());

let world = 0;

it('COMPLETED never appears without E1 and E2, in any order of arrival, and workers tell until E1', async () => {
  let completed = 0;
  await fc.assert(
    fc.asyncProperty(course, async (steps) => {
      world += 1;
      const [first, volume] = [world * 10, 50_000 + world];
      await register(store, first, first + 1);
      const oracle = new Oracle();
      let messages = 0;
      let exposures = 0;
      for (const step of steps) {
        if (step.kind === 'expose') {
          exposures += 1;
          const n = 100_000 + world * 10 + exposures;
          await store.rotation.open([
            {
              ...{ requestId: id('misc', n), exposureId: id('misc', n), evenAbsent: true },
              ...{ volumeId: id('volume', volume), keyId: id('key', first + step.key) },
              ...{ origin: 'DISCLOSURE', requestedBy: '', deadlineMs: T0, notBeforeMs: T0, atMs: T0 },
            },
          ]);
        } else {
          const number = world * 100 + (messages += 1);
          await send(store, [specOf(step, first, volume, number)]);
        }
        oracle.take(step);
        const open = await store.rotation.page(
          { open: true, volumeId: id('volume', volume), keyId: id('key', first) },
          null,
          10,
        );
        for (const facts of open) {
          const evidence = evidenceOf(facts);
          if (rotationState(evidence) !== 'COMPLETED') continue;
          completed += 1;
          expect([oracle.e1(), oracle.e2(), oracle.isThere()]).toEqual([true, true, false]);
        }
        for (const facts of open) {
          expect(evidenceOf(facts)).toMatchObject({
            exposedKeyGone: oracle.e2(),
            newKeyCommitted: oracle.e1(),
          });
        }
        // The worker reads E1 in SQL, for one client: it must come to the same.
        const told = await store.classify([0, 1].map((client) => question(first + client)));
        expect(
          told.map(({ rotations }) => rotations.some(({ keyId }) => keyId === id('key', first))),
        ).toEqual([0, 1].map((client) => open.length > 0 && oracle.tells(client)));
      }
    }),
    { numRuns: 60, seed: 7 },
  );
  // The property must have had something to say.
  expect(completed).toBeGreaterThan(5);
});

/** A message that is only asked about. */
const question = (client: number): CommitCandidate => candidate({ client, message: 1, sequence: 1 });

function specOf(step: Sent, first: number, volume: number, message: number): MessageSpec {
  return {
    client: first + step.client,
    message,
    sequence: step.sequence + 1,
    volumes: [
      {
        volume,
        type: step.removable ? 'REMOVABLE' : 'OS',
        protectors: step.listed.map((key) => ({
          key: first + key,
          ...(step.brought.includes(key) ? { password: `password ${key}` } : {}),
        })),
      },
    ],
  };
}
