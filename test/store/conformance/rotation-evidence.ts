import { describe, expect, it } from 'vitest';
import { evidenceOf } from '../../../src/recovery/rotation/evidence.js';
import { rotationState } from '../../../src/recovery/rotation/state.js';
import type { CommitPlan, RotationDemand, RotationFacts, SiteStore } from '../../../src/store/site-store.js';
import type { VolumeType } from '../../../src/protocol/vocabulary.js';
import type { MakeDatabase } from '../conformance.js';
import { candidate, id, outcomeOf, T0, type MessageSpec } from '../world.js';
import { escrow, send } from './commits.js';
import { demand, HOUR, sends, stateOf, withOneKey } from './rotation.js';

/** What closes a rotation, and what only looks like it. */
export function rotationEvidence(make: MakeDatabase): void {
  const fresh = () => withOneKey(make);
  const rotations = async (store: SiteStore, client = 1, message = 900) =>
    (await store.classify([candidate(sends(message, [1], [], { client }))]))[0]!.rotations;

  describe('rotation: evidence and closing', () => {
    const close = ({ request: { requestId, round } }: RotationFacts) => [
      { requestId, round, as: 'COMPLETED' as const, by: 'keeper', reason: 'say "why"', atMs: T0 + 900 },
    ];

    it('goes from required to completed by evidence, also where nobody was told', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      expect(await stateOf(store)).toBe('REQUIRED');
      await send(store, [sends(2, [1, 2])]);
      expect(await stateOf(store)).toBe('AT_RISK');
      await send(store, [sends(3, [1, 2], [2])]);
      expect(await stateOf(store)).toBe('ESCROWED');
      await send(store, [sends(4, [2])]);
      expect(await stateOf(store)).toBe('COMPLETED');
      const facts = await store.rotation.find(id('misc', 101));
      expect(evidenceOf(facts!).newKeyId).toBe(id('key', 2));
      expect(await store.rotation.close(close(facts!))).toEqual([id('misc', 101)]);
      expect(await store.rotation.close(close(facts!).map((one) => ({ ...one, by: 'other' })))).toEqual([]);
      const closed = await store.rotation.find(id('misc', 101));
      expect(closed?.request).toMatchObject({
        closedAs: 'COMPLETED',
        closedAtMs: T0 + 900,
        closedBy: 'keeper',
        closeReason: 'say "why"',
      });
      expect(await rotations(store)).toEqual([]);
      await store.close();
    });

    it('is not closed by evidence that was read before an exposure of the volume', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      await send(store, [sends(2, [2], [2])]);
      const facts = await store.rotation.find(id('misc', 101));
      expect(rotationState(evidenceOf(facts!))).toBe('COMPLETED');
      await store.rotation.open([demand(2)]);
      expect(await store.rotation.close(close(facts!))).toEqual([]);
      expect((await store.rotation.find(id('misc', 101)))?.request.closedAs).toBeNull();
      expect(await stateOf(store)).toBe('AT_RISK');
      const second = (await store.rotation.find(id('misc', 102)))!.request;
      expect(second.deadlineMs).toBe(T0 + 24 * HOUR);
      // An operator's decision needs no round.
      const byHand = { requestId: id('misc', 101), round: null, as: 'ABANDONED' as const };
      const said = { by: 'operator', reason: 'lost', atMs: T0 + 950 };
      expect(await store.rotation.close([{ ...byHand, ...said }])).toEqual([id('misc', 101)]);
      await store.close();
    });

    it('of an exposure and a closing in one instant, one waits for the other', async () => {
      const store = await fresh();
      const volumes = Array.from({ length: 8 }, (_, n) => 20 + n);
      const both = (message: number, keys: readonly number[]) =>
        escrow(message, {
          volumes: volumes.map((n) => ({
            volume: n,
            protectors: keys.map((key) => ({ key: n * 10 + key, password: `password ${key}` })),
          })),
        });
      const of = (n: number, key: number): RotationDemand =>
        demand(n * 10 + key, { volumeId: id('volume', n), keyId: id('key', n * 10 + key) });
      await send(store, [both(2, [1])]);
      await store.rotation.open(volumes.map((n) => of(n, 1)));
      await send(store, [both(3, [2])]);
      await Promise.all(
        volumes.flatMap((n) => {
          const closing = { round: 1, as: 'COMPLETED' as const, by: 'keeper', reason: '', atMs: T0 + 900 };
          const work: (() => Promise<unknown>)[] = [
            () => store.rotation.close([{ ...closing, requestId: of(n, 1).requestId }]),
            () => store.rotation.open([of(n, 2)]),
          ];
          return (n % 2 === 0 ? work : work.reverse()).map((one) => one());
        }),
      );
      for (const n of volumes) {
        const first = (await store.rotation.find(of(n, 1).requestId))!.request;
        const second = (await store.rotation.find(of(n, 2).requestId))!.request;
        // Closed before the exposure, or open and in the next round; never closed after it.
        expect([first.closedAs, first.round]).toEqual(first.closedAs === null ? [null, 2] : ['COMPLETED', 1]);
        expect(second.closedAs).toBeNull();
      }
      await store.close();
    });

    it('what a client sent before the exposure is no evidence, however late it arrives', async () => {
      const store = await fresh();
      await send(store, [sends(5, [1])]);
      await store.rotation.open([demand(1)]);
      await send(store, [sends(3, [3], [3]), sends(4, [3])]);
      expect(await stateOf(store)).toBe('REQUIRED');
      expect(await rotations(store)).toHaveLength(1);
      await store.close();
    });

    it('who sends another password under the key ID closes nothing', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const bogus = (message: number, keys: readonly number[]): MessageSpec =>
        escrow(message, {
          client: 2,
          volumes: [{ volume: 1, protectors: keys.map((key) => ({ key, password: `made up ${key}` })) }],
        });
      await send(store, [bogus(2, [1])]);
      // Nor is it told.
      expect(await rotations(store, 2)).toEqual([]);
      expect(await rotations(store)).toHaveLength(1);
      await send(store, [bogus(3, [8])]);
      expect(await stateOf(store)).toBe('REQUIRED');
      // Who was in the site before the exposure could have the key: without its own evidence nothing ends.
      await store.rotation.open([demand(1, { exposureId: id('misc', 250) })]);
      await send(store, [sends(9, [2], [2])]);
      expect(await stateOf(store)).not.toBe('COMPLETED');
      await store.close();
    });

    /** As {@link sends}, of a volume that the client says is of a type. */
    const drive = (
      type: VolumeType,
      message: number,
      listed: readonly number[],
      brought: readonly number[] = [],
      client = 1,
    ) => {
      const spec = sends(message, listed, brought, { client });
      return { ...spec, volumes: (spec.volumes ?? []).map((one) => ({ ...one, type })) };
    };

    it('the next holder of a removable drive completes it', async () => {
      const store = await fresh();
      await send(store, [drive('REMOVABLE', 2, [1])], { atMs: T0 + 10 });
      await store.rotation.open([demand(1)]);
      await send(store, [drive('REMOVABLE', 2, [1], [1], 2)], { atMs: T0 + 1000 });
      await send(store, [drive('REMOVABLE', 3, [1, 2], [2], 2)], { atMs: T0 + 2000 });
      expect(await stateOf(store)).toBe('ESCROWED');
      await send(store, [drive('REMOVABLE', 4, [2], [], 2)], { atMs: T0 + 3000 });
      expect(await stateOf(store)).toBe('COMPLETED');
      // The first holder still has it: two drives of one image.
      await send(store, [drive('REMOVABLE', 5, [1])], { atMs: T0 + 4000 });
      expect(await stateOf(store)).toBe('ESCROWED');
      expect(await rotations(store)).toHaveLength(1);
      await store.close();
    });

    it('a stranger who was shown the key of an OS volume does not close its rotation', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      // The true key, a made-up new one, the volume without the old one; whatever the stranger calls it.
      const stranger = (first: number, fresh: number, type: VolumeType) => [
        drive(type, first, [1], [1], 2),
        drive(type, first + 1, [1, fresh], [fresh], 2),
        drive(type, first + 2, [fresh], [], 2),
      ];
      for (const [first, type] of [
        [2, 'OS'],
        [5, 'REMOVABLE'],
      ] as const) {
        await send(store, stranger(first, first + 10, type), { atMs: T0 + first * 1000 });
        expect(await stateOf(store)).toBe('REQUIRED');
      }
      // Nor where the key is shown once more, so that the stranger had it then: the machine lists it still.
      await store.rotation.open([demand(1, { exposureId: id('misc', 250) })]);
      await send(store, stranger(20, 30, 'REMOVABLE'), { atMs: T0 + 20_000 });
      expect(await stateOf(store)).toBe('ESCROWED');
      // The machine itself does.
      await send(store, [sends(40, [1, 41], [41]), sends(41, [41])], { atMs: T0 + 40_000 });
      expect(await stateOf(store)).toBe('COMPLETED');
      await store.close();
    });

    it('a stranger who made up a password before and proves the key afterwards does not close it', async () => {
      const store = await fresh();
      const made = { key: 1, password: 'made up 1' };
      await send(store, [escrow(2, { client: 2, volumes: [{ volume: 1, protectors: [made] }] })]);
      await store.rotation.open([demand(1)]);
      await send(store, [
        sends(3, [1], [1], { client: 2 }),
        sends(4, [1, 2], [2], { client: 2 }),
        sends(5, [2], [], { client: 2 }),
      ]);
      expect(await stateOf(store)).not.toBe('COMPLETED');
      await store.close();
    });

    it('another OS volume in a new epoch replaces the old one', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const volume = (n: number, key: number, message: number, epoch: number) =>
        escrow(message, {
          epoch,
          sequence: 1,
          volumes: [{ volume: n, protectors: [{ key, password: `password ${key}` }] }],
        });
      await send(store, [volume(2, 2, 2, 2)]);
      expect(await stateOf(store)).toBe('REPLACED');
      await store.close();
    });

    it('keeps the first claim of a client that never proved the key, and reads nothing from it', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const plan = (message: number, requestId = id('misc', 101)): CommitPlan => {
        const claimed = candidate({
          ...{ client: 2, message, sequence: message },
          rotation: { requestId, outcome: 'REMOVED', errorCode: null, errorText: null, newKeyId: null },
        });
        const outcome = {
          ...outcomeOf(claimed, 'REJECTED', T0),
          reason: 'ROTATION_REQUEST_UNKNOWN' as const,
        };
        const refused = { outcomeMode: 'insert' as const, secrets: [], effects: false, atMs: T0 + message };
        return { candidate: claimed, outcome, ...refused };
      };
      for (const one of [plan(2), plan(3), plan(4, id('misc', 199))])
        expect(await store.apply([one])).toMatchObject([{ kind: 'applied' }]);
      const facts = await store.rotation.find(id('misc', 101));
      expect(facts?.claims).toMatchObject([{ clientId: id('client', 2), outcome: 'REMOVED', sequence: 2n }]);
      expect(await stateOf(store)).toBe('REQUIRED');
      await store.close();
    });

    it('keeps claims of holders and reads them since the exposure alone', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const claim = (message: number, outcome: 'FAILED' | 'VOLUME_ABSENT' | 'ADDED', client = 1) => ({
        ...{ client, message, sequence: message },
        rotation: {
          ...{ requestId: id('misc', 101), outcome, errorCode: -5n, errorText: 'say "x"' },
          newKeyId: outcome === 'ADDED' ? id('key', 2) : null,
        },
      });
      await send(store, [claim(2, 'FAILED')]);
      expect(await stateOf(store)).toBe('FAILED');
      expect((await store.rotation.find(id('misc', 101)))?.claims).toMatchObject([
        { clientId: id('client', 1), outcome: 'FAILED', errorCode: -5n, errorText: 'say "x"', sequence: 2n },
      ]);
      await send(store, [claim(3, 'VOLUME_ABSENT')], { atMs: T0 + 10 });
      expect(await stateOf(store)).toBe('REQUIRED');
      await send(store, [claim(4, 'ADDED')], { atMs: T0 + 20 });
      expect(await stateOf(store)).toBe('AT_RISK');
      await send(store, [claim(5, 'FAILED', 2)], { atMs: T0 + 30 });
      expect(await stateOf(store)).toBe('AT_RISK');
      await store.rotation.open([demand(1, { exposureId: id('misc', 250) })]);
      expect(await stateOf(store)).toBe('REQUIRED');
      await store.close();
    });
  });
}
