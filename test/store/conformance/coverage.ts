import { describe, expect, it } from 'vitest';
import type { SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { id, register, siteSeed, T0 } from '../world.js';
import { send } from './commits.js';

/** What coverage is counted from. */
export function coverageFacts(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    return store;
  };

  describe('coverage', () => {
    it('of an empty site is empty', async () => {
      const store = await fresh();
      expect(await store.policy.coverage(T0)).toEqual({ devices: [], clients: [], volumes: [] });
      await store.close();
    });

    it('has each client in sight with what it last said of itself', async () => {
      const store = await fresh();
      await register(store, 1, 2, 3, 4);
      const error = { code: 1n, text: 'x', atMs: 0 };
      await send(
        store,
        [
          {
            ...{ client: 1, message: 1, sequence: 1 },
            state: { machineName: 'NEW', domain: '', otherManagers: ['INTUNE', 'MBAM'], lastError: error },
          },
        ],
        { atMs: T0 + 7 },
      );
      await store.mergeClient(id('client', 2), id('client', 3), 'anna');
      await store.setClientState(id('client', 4), 'BLOCKED', 'anna');
      const { clients } = await store.policy.coverage(T0);
      const base = { hardwareId: '', tag: 'first', registeredAtMs: T0, cloned: false };
      const silent = { checkedInAtMs: null, otherManagers: [], hasError: false, domain: 'CONTOSO' };
      expect(new Set(clients)).toEqual(
        new Set([
          {
            ...{ clientId: id('client', 1), state: 'ACTIVE', machineName: 'NEW', domain: 'CONTOSO', ...base },
            ...{ checkedInAtMs: T0 + 7, otherManagers: ['INTUNE', 'MBAM'], hasError: true },
          },
          { clientId: id('client', 3), state: 'ACTIVE', machineName: 'PC3', ...base, ...silent },
          { clientId: id('client', 4), state: 'BLOCKED', machineName: 'PC4', ...base, ...silent },
        ]),
      );
      await store.close();
    });

    it('counts the present keys of each volume: readable, damaged, exposed, overdue', async () => {
      const store = await fresh();
      await register(store, 1, 2);
      const password = (key: number) => ({ key, password: `password ${key}` });
      await send(store, [
        {
          ...{ client: 1, message: 1, sequence: 1 },
          volumes: [
            { volume: 1, protectors: [password(1), password(2), { key: 3 }] },
            { volume: 2, type: 'REMOVABLE', protectors: [] },
          ],
        },
        // The other client names the same keys and has sent none of them.
        {
          ...{ client: 2, message: 2, sequence: 1 },
          volumes: [{ volume: 1, protectors: [{ key: 1 }, { key: 2 }] }],
        },
      ]);
      for await (const secret of store.streamSecrets()) {
        if (secret.identity.keyId === id('key', 2))
          await store.markDamaged(secret.identity.secretId, secret.generation, 'test', T0);
      }
      await store.rotation.open([
        {
          ...{ requestId: id('misc', 901), exposureId: id('misc', 902), volumeId: id('volume', 1) },
          ...{ keyId: id('key', 1), origin: 'OPERATOR', requestedBy: 'anna', deadlineMs: T0 + 100 },
          ...{ notBeforeMs: T0, atMs: T0 + 1, evenAbsent: false },
        },
      ]);
      const volumes = async (nowMs: number): Promise<unknown> =>
        new Set(
          (await store.policy.coverage(nowMs)).volumes.map((one) => [
            ...[one.clientId === id('client', 1) ? 1 : 2, one.volumeId === id('volume', 1) ? 1 : 2],
            ...[
              one.volumeType,
              one.protection,
              one.keys,
              one.readable,
              one.damaged,
              one.exposed,
              one.overdue,
            ],
          ]),
        );
      expect(await volumes(T0 + 100)).toEqual(
        new Set([
          [1, 1, 'OS', 'ON', 3, 1, 1, 1, 0],
          [1, 2, 'REMOVABLE', 'ON', 0, 0, 0, 0, 0],
          [2, 1, 'OS', 'ON', 2, 0, 0, 1, 0],
        ]),
      );
      expect(await volumes(T0 + 101)).toContainEqual([1, 1, 'OS', 'ON', 3, 1, 1, 1, 1]);
      await store.close();
    });

    it('reads more clients than a page holds', async () => {
      const store = await fresh();
      await register(store, ...Array.from({ length: 501 }, (_, n) => n + 1));
      expect((await store.policy.coverage(T0)).clients).toHaveLength(501);
      await store.close();
    });
  });
}
