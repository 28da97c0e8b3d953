import { describe, expect, it } from 'vitest';
import { evidenceOf } from '../../../src/recovery/rotation/evidence.js';
import { rotationState, type RotationState } from '../../../src/recovery/rotation/state.js';
import type { CommitPlan, RotationDemand, RotationFacts, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { candidate, id, outcomeOf, register, siteSeed, T0, type MessageSpec } from '../world.js';
import { escrow, send } from './commits.js';

export const HOUR = 3_600_000;

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

/** A store where client 1 has sent key 1 of volume 1. */
export async function withOneKey(make: MakeDatabase): Promise<SiteStore> {
  const store = await (await make()).open();
  await store.createSite(siteSeed());
  await register(store, 1, 2, 3);
  await send(store, [sends(1, [1], [1])], { atMs: T0 });
  return store;
}

/** Requests, their delivery and lists; their evidence is in rotation-evidence.ts. */
export function rotation(make: MakeDatabase): void {
  const fresh = () => withOneKey(make);
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
