import { describe, expect, it } from 'vitest';
import type { SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { id, register, siteSeed, T0 } from '../world.js';
import { escrow, send } from './commits.js';

const anna = { domain: 'CORP', account: 'anna' };

/** Keys by digits, machine and user; machines and their numbers. */
export function search(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1, 2, 3);
    const state = { machineName: 'Desk-1', domain: 'Corp', users: [{ domain: 'CORP', name: 'Anna' }] };
    const users = [{ domain: 'AzureAD', name: 'ben@corp.example' }];
    await send(store, [
      escrow(1),
      // The next key of the same volume, with a package; the first one is superseded.
      escrow(2, { volumes: [{ volume: 1, protectors: [{ key: 2, password: 'password 2', package: 'p' }] }] }),
      escrow(3, {
        client: 2,
        volumes: [{ volume: 2, type: 'FIXED', protectors: [{ key: 3, password: 'x' }] }],
      }),
      // The same key ID and volume with another password.
      escrow(4, {
        client: 3,
        volumes: [{ volume: 2, type: 'FIXED', protectors: [{ key: 3, password: 'y' }] }],
      }),
      { client: 1, message: 11, sequence: 11, state, volumes: [{ volume: 1, protectors: [{ key: 2 }] }] },
      { client: 2, message: 12, sequence: 12, state: { machineName: 'Desk-2', domain: 'CORP', users } },
    ]);
    return store;
  };
  const ids = async (found: ReturnType<SiteStore['search']['keys']>): Promise<string[]> =>
    (await found).map(({ keyId }) => keyId).sort();

  describe('search', () => {
    it('finds by digits, and says what is known of a key, without its value', async () => {
      const store = await fresh();
      const digits = id('key', 1).replaceAll('-', '');
      const [one, ...more] = await store.search.keys({ by: 'digits', digits }, { limit: 10 });
      expect(more).toEqual([]);
      expect(one).toEqual({
        ...{ keyId: id('key', 1), volumeId: id('volume', 1), volumeType: 'OS', driveLabel: 'C:' },
        ...{ firstStoredAtMs: expect.any(Number), lastProvenAtMs: expect.any(Number), hasPackage: false },
        ...{ conflicting: false, readable: true, exposedAtMs: null },
        holders: [
          {
            ...{ clientId: id('client', 1), machineName: 'Desk-1', domain: 'Corp', current: false },
            ...{ supersededAtMs: expect.any(Number), reportedAtMs: expect.any(Number) },
          },
        ],
      });
      const prefix = { by: 'digits', digits: '8637036e' } as const;
      const keys = await store.search.keys(prefix, { limit: 10 });
      const of = (n: number) => keys.find(({ keyId }) => keyId === id('key', n));
      expect(keys).toHaveLength(3);
      expect(of(2)).toMatchObject({ hasPackage: true, holders: [{ current: true, supersededAtMs: null }] });
      expect(of(3)).toMatchObject({ volumeType: 'FIXED', conflicting: true });
      expect(
        of(3)
          ?.holders.map(({ clientId }) => clientId)
          .sort(),
      ).toEqual([id('client', 2), id('client', 3)]);
      expect(await store.search.keys(prefix, { limit: 2 })).toHaveLength(2);
      expect(JSON.stringify(keys)).not.toContain('password');
      await expect(
        store.search.keys({ by: 'digits', digits: '8637036' }, { limit: 1 }),
      ).rejects.toMatchObject({
        code: 'VALUE_INVALID',
      });
      await store.close();
    });

    it('says when a key was shown, and that no copy of it is readable', async () => {
      const store = await fresh();
      const digits = id('key', 1).replaceAll('-', '');
      const secret = (await store.secretsPage(null, 100)).find(
        ({ identity }) => identity.keyId === id('key', 1),
      );
      await store.markDamaged(secret!.identity.secretId, 1, 'test', T0);
      expect(await store.search.keys({ by: 'digits', digits }, { limit: 1 })).toMatchObject([
        { readable: false },
      ]);
      await store.close();
    });

    it('finds by machine (name of now, domain or none), client and user, without case', async () => {
      const store = await fresh();
      const by = (machine: string, domain: string | null) =>
        ids(store.search.keys({ by: 'machine', machine, domain }, { limit: 10 }));
      expect(await by('DESK-1', null)).toEqual([id('key', 1), id('key', 2)]);
      expect(await by('desk-1', 'CORP')).toEqual([id('key', 1), id('key', 2)]);
      expect(await by('desk-1', 'OTHER')).toEqual([]);
      // Its name at the registration is not its name any more; of a machine without a check-in it is.
      expect(await by('PC1', null)).toEqual([]);
      expect(await by('pc3', 'contoso')).toEqual([id('key', 3)]);
      const client = { by: 'client', clientId: id('client', 2) } as const;
      expect(await ids(store.search.keys(client, { limit: 10 }))).toEqual([id('key', 3)]);
      const users = (domain: string | null, account: string) =>
        ids(store.search.keys({ by: 'users', users: [{ domain, account }] }, { limit: 10 }));
      expect(await users('corp', 'ANNA')).toEqual([id('key', 1), id('key', 2)]);
      expect(await users(null, 'anna')).toEqual([id('key', 1), id('key', 2)]);
      expect(await users('other', 'anna')).toEqual([]);
      expect(await users(null, 'BEN@corp.example')).toEqual([id('key', 3)]);
      expect(await ids(store.search.keys({ by: 'users', users: [] }, { limit: 10 }))).toEqual([]);
      await store.close();
    });

    it('finds for a user only keys that a machine of theirs sent', async () => {
      const store = await fresh();
      const prefix = { by: 'digits', digits: '8637036e' } as const;
      expect(await ids(store.search.keys(prefix, { limit: 10, users: [anna] }))).toEqual([
        id('key', 1),
        id('key', 2),
      ]);
      expect(await ids(store.search.keys(prefix, { limit: 10, users: [] }))).toEqual([]);
      const other = { by: 'machine', machine: 'Desk-2', domain: null } as const;
      expect(await ids(store.search.keys(other, { limit: 10, users: [anna] }))).toEqual([]);
      await store.close();
    });

    it('takes nobody for a user whose name a collation alone calls the same', async () => {
      const store = await fresh();
      const names = ['strasse', 'müller', 'jörg', 'ann\u{1F600}'];
      const users = names.map((name) => ({ domain: 'CORP', name }));
      await send(store, [{ client: 3, message: 13, sequence: 13, state: { users } }]);
      for (const account of [...names, 'STRASSE'])
        expect(await store.search.machinesOf([{ domain: 'corp', account }], 10), account).toHaveLength(1);
      const others = ['straße', 'muller', 'jorg', 'ann', 'ann\u{1F601}'].map((account) => ({
        domain: 'CORP',
        account,
      }));
      expect(await store.search.machinesOf(others, 10)).toEqual([]);
      expect(await store.search.machinesOf([{ domain: 'cörp', account: 'anna' }], 10)).toEqual([]);
      expect(await ids(store.search.keys({ by: 'users', users: others }, { limit: 10 }))).toEqual([]);
      await store.close();
    });

    it('lists machines of users and of a name, and numbers them once for ever', async () => {
      const store = await fresh();
      expect(await store.search.machinesOf([anna], 10)).toEqual([
        {
          clientId: id('client', 1),
          machineName: 'Desk-1',
          domain: 'Corp',
          reportedAtMs: expect.any(Number),
        },
      ]);
      expect(await store.search.machinesNamed('desk-2', 10)).toMatchObject([{ clientId: id('client', 2) }]);
      const [one, two] = [id('client', 1), id('client', 2)];
      const numbers = await Promise.all([
        store.search.numberMachines([two]),
        store.search.numberMachines([one, two]),
        store.search.numberMachines([two, one]),
      ]);
      const [first, second] = numbers[1];
      expect(numbers).toEqual([[second], [first, second], [second, first]]);
      expect([first, second].sort()).toEqual([16_777_216, 16_777_217]);
      expect(await store.search.numberMachines([])).toEqual([]);
      expect(await store.search.machineByNumber(second!)).toMatchObject({ clientId: two });
      expect(await store.search.machineByNumber(16_777_999)).toBeNull();
      await store.close();
    });
  });
}
