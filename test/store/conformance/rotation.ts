import { describe, expect, it } from 'vitest';
import { evidenceOf } from '../../../src/recovery/rotation/evidence.js';
import { rotationState, type RotationState } from '../../../src/recovery/rotation/state.js';
import type { CommitPlan, RotationDemand, RotationFacts, SiteStore } from '../../../src/store/site-store.js';
import type { VolumeType } from '../../../src/protocol/vocabulary.js';
import type { MakeDatabase } from '../conformance.js';
import { candidate, id, outcomeOf, register, siteSeed, T0, type MessageSpec } from '../world.js';
import { escrow, send } from './commits.js';

const HOUR = 3_600_000;

/** A demand for key `n` of volume 1. */
export function demand(n: number, change: Partial<RotationDemand> = {}): RotationDemand {
  return {
    requestId: id('misc', 100 + n),
    exposureId: id('misc', 200 + n),
    volumeId: id('volume', 1),
    keyId: id('key', n),
    origin: 'DISCLOSURE',
    requestedBy: 'CONTOSO\\Zoë "Z"',
    deadlineMs: T0 + 24 * HOUR,
    notBeforeMs: T0,
    atMs: T0 + 100,
    evenAbsent: false,
    ...change,
  };
}

/** An escrow of client 1 that lists keys of volume 1 and brings the passwords of some. */
export function sends(
  message: number,
  listed: readonly number[],
  brought: readonly number[] = [],
  change: Partial<MessageSpec> = {},
): MessageSpec {
  const protectors = listed.map((key) =>
    brought.includes(key) ? { key, password: `password ${key}` } : { key },
  );
  return escrow(message, { volumes: [{ volume: 1, protectors }], ...change });
}

/** The state of a request, as the recovery service works it out. */
export async function stateOf(store: SiteStore, requestId = demand(1).requestId): Promise<RotationState> {
  const facts = await store.rotation.find(requestId);
  if (facts === null) throw new Error('there is no such request');
  return rotationState(evidenceOf(facts));
}

/** Requests, their evidence, delivery, closing. */
export function rotation(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1, 2, 3);
    await send(store, [sends(1, [1], [1])], { atMs: T0 });
    return store;
  };
  const rotations = async (store: SiteStore, client = 1, message = 900) =>
    (await store.classify([candidate(sends(message, [1], [], { client }))]))[0]!.rotations;

  describe('rotation: asking', () => {
    it('opens a request with its exposure once, however often it is asked', async () => {
      const store = await fresh();
      const [first] = await store.rotation.open([demand(1)]);
      expect(first).toEqual({
        volumeId: id('volume', 1),
        keyId: id('key', 1),
        requestId: id('misc', 101),
        opened: true,
      });
      await store.rotation.open([demand(1)]);
      const facts = await store.rotation.find(id('misc', 101));
      expect(facts?.request).toEqual({
        requestId: id('misc', 101),
        volumeId: id('volume', 1),
        keyId: id('key', 1),
        origin: 'DISCLOSURE',
        requestedBy: 'CONTOSO\\Zoë "Z"',
        openedAtMs: T0 + 100,
        deadlineMs: T0 + 24 * HOUR,
        notBeforeMs: T0,
        round: 1,
        closedAs: null,
        closedAtMs: null,
        closedBy: '',
        closeReason: '',
      });
      expect(facts?.exposedAtMs).toBe(T0 + 100);
      expect(facts?.holders).toMatchObject([
        {
          clientId: id('client', 1),
          machineName: 'PC1',
          proven: { epoch: 1, sequence: 1n },
          baseline: { epoch: 1, sequence: 1n },
          report: { epoch: 1, sequence: 1n, volumeType: 'OS', protection: 'ON', keyIds: [id('key', 1)] },
          newerOsVolume: false,
        },
      ]);
      await store.close();
    });

    it('a key exposed again is in the next round with the earlier times, and keeps its request', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const again = { requestId: id('misc', 150), exposureId: id('misc', 250) };
      const later = demand(1, { ...again, deadlineMs: T0 + 48 * HOUR, notBeforeMs: T0 - 5, atMs: T0 + 200 });
      expect(await store.rotation.open([later])).toMatchObject([
        { requestId: id('misc', 101), opened: false },
      ]);
      const facts = await store.rotation.find(id('misc', 101));
      expect(facts?.request).toMatchObject({
        round: 2,
        deadlineMs: T0 + 24 * HOUR,
        notBeforeMs: T0 - 5,
        openedAtMs: T0 + 100,
      });
      expect(facts?.exposedAtMs).toBe(T0 + 200);
      await store.close();
    });

    it('a key that a policy migrates and somebody is shown waits for no policy any more', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1, { origin: 'MIGRATION' })]);
      const shown = { requestId: id('misc', 150), exposureId: id('misc', 250) };
      await store.rotation.open([demand(1, { ...shown, origin: 'DISCLOSURE' })]);
      expect(await rotations(store)).toMatchObject([{ requestId: id('misc', 101), origin: 'DISCLOSURE' }]);
      // Nor the other way round: a policy holds back nothing that was shown.
      const migrated = { requestId: id('misc', 151), exposureId: id('misc', 251) };
      await store.rotation.open([demand(1, { ...migrated, origin: 'MIGRATION' })]);
      expect(await rotations(store)).toMatchObject([{ origin: 'DISCLOSURE' }]);
      await store.close();
    });

    it('another key of the volume gets the earliest deadline of the volume, and raises the round of all', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      await send(store, [sends(2, [1, 2], [2])]);
      expect(await stateOf(store)).toBe('ESCROWED');
      await store.rotation.open([demand(2, { deadlineMs: T0 + 99 * HOUR })]);
      const second = await store.rotation.find(id('misc', 102));
      expect(second?.request).toMatchObject({ round: 1, deadlineMs: T0 + 24 * HOUR });
      expect((await store.rotation.find(id('misc', 101)))?.request.round).toBe(2);
      expect([await stateOf(store), await stateOf(store, id('misc', 102))]).toEqual(['REQUIRED', 'REQUIRED']);
      await store.close();
    });

    it('opens nothing for a key that no client that sent it has any more, unless told to', async () => {
      const store = await fresh();
      await send(store, [sends(2, [2], [2])]);
      expect(await store.rotation.open([demand(1)])).toMatchObject([{ requestId: null, opened: false }]);
      expect(await store.findKeys(id('key', 1), 5)).toMatchObject([{ disclosed: true }]);
      const forced = { exposureId: id('misc', 250), evenAbsent: true };
      expect(await store.rotation.open([demand(1, forced)])).toMatchObject([{ opened: true }]);
      await store.close();
    });

    it('a key ID that is only named, by whomever, is no key to rotate', async () => {
      const store = await fresh();
      await send(store, [sends(2, [1, 5]), sends(3, [6], [], { client: 2 })]);
      expect(
        await store.rotation.open([
          demand(5),
          demand(6),
          demand(1, { volumeId: id('volume', 7), requestId: id('misc', 107), exposureId: id('misc', 207) }),
        ]),
      ).toMatchObject([{ requestId: null }, { requestId: null }, { requestId: null }]);
      await store.close();
    });

    it('two that ask for one key at once get one request', async () => {
      const store = await fresh();
      const twins = Array.from({ length: 6 }, (_, n) =>
        demand(1, { requestId: id('misc', 300 + n), exposureId: id('misc', 400 + n) }),
      );
      const opened = (await Promise.all(twins.map((one) => store.rotation.open([one])))).flat();
      expect(new Set(opened.map((one) => one.requestId)).size).toBe(1);
      expect(opened.filter((one) => one.opened)).toHaveLength(1);
      expect(
        (await store.rotation.page({ open: true }, null, 10)).map(({ request }) => request.round),
      ).toEqual([6]);
      await store.close();
    });
  });

  describe('rotation: telling', () => {
    it('tells a client that proved the key, and no other, until its own new key is committed', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      expect(await rotations(store)).toEqual([
        {
          requestId: id('misc', 101),
          volumeId: id('volume', 1),
          keyId: id('key', 1),
          deadlineMs: T0 + 24 * HOUR,
          origin: 'DISCLOSURE',
          notBeforeMs: T0,
          round: 1,
          delivered: false,
        },
      ]);
      // Names the key and sends another one for the volume: nothing of it is a proof of the exposed key.
      await send(store, [sends(2, [1, 9], [9], { client: 2 })]);
      expect(await rotations(store, 2)).toEqual([]);
      expect(await rotations(store)).toHaveLength(1);
      await send(store, [sends(3, [1, 2], [2])]);
      expect(await rotations(store)).toEqual([]);
      await store.close();
    });

    it('a second protector from before does not stand for the new key', async () => {
      const store = await fresh();
      await send(store, [sends(2, [1, 2], [2])]);
      await store.rotation.open([demand(1)]);
      expect(await rotations(store)).toHaveLength(1);
      // Nor when the next holder sends both.
      await send(store, [sends(3, [1, 2], [1, 2], { client: 2 })]);
      expect(await rotations(store, 2)).toHaveLength(1);
      await send(store, [sends(4, [1, 2, 3], [3])]);
      expect(await rotations(store)).toEqual([]);
      await store.close();
    });

    it('a new key that was exposed, or that cannot be read, does not count', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      await send(store, [sends(2, [1, 2], [2])]);
      const [secret] = candidate(sends(2, [1, 2], [2])).secrets;
      await store.markDamaged(secret!.secretId, 1, 'test', T0);
      expect(await rotations(store)).toHaveLength(1);
      expect(await stateOf(store)).toBe('AT_RISK');
      await send(store, [sends(3, [1, 3], [3])]);
      expect(await rotations(store)).toEqual([]);
      await store.rotation.open([demand(3)]);
      expect((await rotations(store)).map(({ keyId }) => keyId)).toEqual([id('key', 1), id('key', 3)]);
      await store.close();
    });

    it('writes the first delivery of each round with the commit, of check-ins and refused messages too', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      expect(await stateOf(store)).toBe('REQUIRED');
      const plans = (message: MessageSpec, atMs: number): CommitPlan => ({
        candidate: candidate(message),
        outcome: message.state === undefined ? outcomeOf(candidate(message), 'REJECTED', atMs) : null,
        outcomeMode: 'insert',
        secrets: [],
        effects: message.state !== undefined,
        deliveries: [{ requestId: id('misc', 101), round: 1 }],
        atMs,
      });
      const checkIn = sends(2, [1], [], { state: {} });
      expect(await store.apply([plans(checkIn, T0 + 7), plans(sends(3, [1]), T0 + 8)])).toMatchObject([
        { kind: 'applied' },
        { kind: 'applied' },
      ]);
      const facts = await store.rotation.find(id('misc', 101));
      expect(facts?.deliveries).toEqual([{ clientId: id('client', 1), atMs: T0 + 7 }]);
      expect(await stateOf(store)).toBe('DELIVERED');
      expect((await rotations(store))[0]?.delivered).toBe(true);
      await store.rotation.open([demand(1, { exposureId: id('misc', 250) })]);
      expect(await rotations(store)).toMatchObject([{ delivered: false, round: 2 }]);
      expect(await stateOf(store)).toBe('REQUIRED');
      await store.close();
    });
  });

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

  describe('rotation: lists', () => {
    it('lists open requests by deadline, a page at a time, and by what they concern', async () => {
      const store = await fresh();
      await send(store, [
        ...Array.from({ length: 5 }, (_, n) =>
          escrow(10 + n, {
            client: 2,
            volumes: [{ volume: 10 + n, type: 'FIXED', protectors: [{ key: 10 + n, password: 'p' }] }],
          }),
        ),
      ]);
      await store.rotation.open([
        ...Array.from({ length: 5 }, (_, n) =>
          demand(10 + n, { volumeId: id('volume', 10 + n), deadlineMs: T0 + (5 - Math.floor(n / 2)) * HOUR }),
        ),
        demand(1),
      ]);
      const all: number[] = [];
      let after = null;
      for (;;) {
        const page: readonly RotationFacts[] = await store.rotation.page({ open: true }, after, 2);
        for (const { request } of page) all.push(Number.parseInt(request.keyId.slice(-4), 16));
        const last = page.at(-1)?.request;
        if (last === undefined) break;
        after = { atMs: last.deadlineMs, requestId: last.requestId };
      }
      expect(all).toEqual([14, 12, 13, 10, 11, 1]);
      const some = async (filter: Parameters<SiteStore['rotation']['page']>[0]) =>
        (await store.rotation.page(filter, null, 10)).map(({ request }) => request.keyId);
      expect(await some({ open: true, clientId: id('client', 1) })).toEqual([id('key', 1)]);
      expect(await some({ open: true, volumeId: id('volume', 12) })).toEqual([id('key', 12)]);
      expect(await some({ open: true, keyId: id('key', 13) })).toEqual([id('key', 13)]);
      expect(await some({ open: true, dueBeforeMs: T0 + 4 * HOUR })).toEqual([id('key', 14)]);
      expect(await some({ open: false })).toEqual([]);
      await store.rotation.close(
        [10, 11].map((n, i) => ({
          ...{ requestId: id('misc', 100 + n), round: 1, as: 'ABANDONED' as const, by: 'x', reason: '' },
          atMs: T0 + i,
        })),
      );
      expect(await some({ open: false })).toEqual([id('key', 11), id('key', 10)]);
      await store.close();
    });

    it('knows which keys are present at a client and on a volume', async () => {
      const store = await fresh();
      await send(store, [sends(2, [1, 2, 7], [2]), sends(3, [1, 2], [], { client: 2 })]);
      const keys = async (of: Parameters<SiteStore['rotation']['presentKeys']>[0]) =>
        (await store.rotation.presentKeys(of)).map(({ clientId, keyId }) => [clientId, keyId]);
      const both = [
        [id('client', 1), id('key', 1)],
        [id('client', 1), id('key', 2)],
      ];
      expect(await keys({ clientId: id('client', 1) })).toEqual(both);
      expect(await keys({ volumeId: id('volume', 1) })).toEqual(both);
      expect(await keys({ clientId: id('client', 2) })).toEqual([]);
      await store.close();
    });

    it('finds exposed keys that came back, and neither those that wait nor those given up', async () => {
      const store = await fresh();
      await store.rotation.open([demand(1)]);
      const back = async () => {
        const found = [];
        let after = null;
        for (;;) {
          const page: Awaited<ReturnType<SiteStore['rotation']['returned']>> = await store.rotation.returned(
            after,
            1,
          );
          found.push(...page.keys.map(({ keyId }) => keyId));
          if (page.next === null) return found;
          after = page.next;
        }
      };
      expect(await back()).toEqual([]);
      await send(store, [sends(2, [2], [2])], { atMs: T0 + 500 });
      const closing = { round: 1, by: 'keeper', reason: '', atMs: T0 + 600 };
      await store.rotation.close([{ ...closing, requestId: id('misc', 101), as: 'COMPLETED' }]);
      expect(await back()).toEqual([]);
      // An old image: the key is there again.
      await send(store, [sends(3, [1])], { atMs: T0 + 700 });
      expect(await back()).toEqual([id('key', 1)]);
      await store.rotation.open([
        demand(1, { requestId: id('misc', 150), exposureId: id('misc', 250), atMs: T0 + 800 }),
      ]);
      expect(await back()).toEqual([]);
      await store.rotation.close([
        { ...closing, requestId: id('misc', 150), as: 'ABANDONED', atMs: T0 + 900 },
      ]);
      await send(store, [sends(4, [1])], { atMs: T0 + 1000 });
      expect(await back()).toEqual([]);
      await store.close();
    });
  });
}
