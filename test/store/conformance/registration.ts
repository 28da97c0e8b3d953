import { describe, expect, it } from 'vitest';
import type { RegistrationWrite, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { id, register, sha256, siteSeed, T0, TOKEN_HASH } from '../world.js';

const write = (n: number, change: Partial<RegistrationWrite> = {}): RegistrationWrite => ({
  clientId: id('client', n),
  registrationId: id('misc', 2000 + n),
  kid: `kid-of-${n}`,
  publicJwk: '{"kty":"EC"}',
  enrolmentTokenHash: TOKEN_HASH,
  provenByKid: null,
  machineName: `PC${n}`,
  domain: 'CONTOSO',
  hardwareId: 'hw',
  joinType: 'HYBRID',
  atMs: T0,
  ...change,
});

/** Registrations: the whole table, tokens under load, clones. */
export function clonesAndRegistration(make: MakeDatabase): void {
  const fresh = async (uses?: number): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed(uses));
    return store;
  };
  const usesLeft = async (store: SiteStore): Promise<number> =>
    (await store.readEnrolmentTokens())[0]!.usesLeft;

  describe('registration', () => {
    it('registers a new client with a token and takes one use', async () => {
      const store = await fresh(3);
      expect(await store.commitRegistration(write(1))).toEqual({
        status: 'REGISTERED',
        reason: 'NONE',
        epoch: 1,
      });
      expect(await usesLeft(store)).toBe(2);
      expect(await store.findClient(id('client', 1))).toEqual({
        clientId: id('client', 1),
        state: 'ACTIVE',
        epoch: 1,
        machineName: 'PC1',
        domain: 'CONTOSO',
        hardwareId: 'hw',
        joinType: 'HYBRID',
        tag: 'first',
        registeredAtMs: T0,
        keys: [{ kid: 'kid-of-1', epoch: 1, publicJwk: '{"kty":"EC"}', registeredAtMs: T0 }],
        flags: [],
      });
      expect(await store.findKeyOwners('kid-of-1')).toEqual([id('client', 1)]);
      expect(await store.findKeyOwners('kid-of-2')).toEqual([]);
      expect(await store.findClient(id('client', 2))).toBeNull();
      await store.close();
    });

    it('answers the same registration again without taking a use, with or without a token', async () => {
      const store = await fresh(2);
      await store.commitRegistration(write(1));
      const again = { status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: 1 };
      expect(await store.commitRegistration(write(1))).toEqual(again);
      expect(await store.commitRegistration(write(1, { enrolmentTokenHash: null }))).toEqual(again);
      expect(await usesLeft(store)).toBe(1);
      await store.close();
    });

    it.each([
      ['no token', { enrolmentTokenHash: null }],
      ['an unknown token', { enrolmentTokenHash: sha256('other') }],
      ['an expired token', { atMs: T0 + 1_000_000_000 }],
    ])('refuses a new client with %s', async (_name, change) => {
      const store = await fresh(2);
      expect(await store.commitRegistration(write(1, change))).toMatchObject({
        status: 'REFUSED',
        reason: 'TOKEN_REFUSED',
      });
      expect(await store.findClient(id('client', 1))).toBeNull();
      expect(await usesLeft(store)).toBe(2);
      await store.close();
    });

    it('refuses a revoked token', async () => {
      const store = await fresh();
      const hash = sha256('revoked');
      await store.insertEnrolmentToken({
        tokenId: id('misc', 40),
        secretHash: hash,
        usesAllowed: 5,
        usesLeft: 5,
        expiresAtMs: T0 + 1000,
        tag: '',
        revokedAtMs: T0,
        createdAtMs: T0,
      });
      expect(await store.commitRegistration(write(1, { enrolmentTokenHash: hash }))).toMatchObject({
        reason: 'TOKEN_REFUSED',
      });
      await store.close();
    });

    it('lets in exactly as many clients as the token has uses, over several connections at once', async () => {
      const database = await make();
      const first = await database.open();
      await first.createSite(siteSeed(7));
      const stores = [first, await database.open(), await database.open(), await database.open()];
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, n) => stores[n % 4]!.commitRegistration(write(n + 1))),
      );
      expect(results.filter((result) => result.status === 'REGISTERED')).toHaveLength(7);
      expect(results.filter((result) => result.reason === 'TOKEN_REFUSED')).toHaveLength(33);
      expect(await usesLeft(first)).toBe(0);
      expect((await first.counts()).clients).toBe(7);
      await Promise.all(stores.map((store) => store.close()));
    });

    it('lets 5 of 20 clients in by 5 uses, each delivered twice at once: no client is told both', async () => {
      const database = await make();
      const first = await database.open();
      await first.createSite(siteSeed(5));
      const stores = [first, await database.open(), await database.open()];
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, n) => stores[n % 3]!.commitRegistration(write(1 + Math.floor(n / 2)))),
      );
      const told = Array.from({ length: 20 }, (_, n) =>
        results
          .slice(2 * n, 2 * n + 2)
          .map((result) => (result.status === 'REFUSED' ? result.reason : result.status))
          .sort()
          .join(' '),
      );
      expect(told.filter((words) => words === 'ALREADY_REGISTERED REGISTERED')).toHaveLength(5);
      expect(told.filter((words) => words === 'TOKEN_REFUSED TOKEN_REFUSED')).toHaveLength(15);
      expect(await usesLeft(first)).toBe(0);
      expect((await first.counts()).clients).toBe(5);
      await Promise.all(stores.map((store) => store.close()));
    });

    it('gives one of several new keys that the current key proves the next epoch', async () => {
      const database = await make();
      const first = await database.open();
      await first.createSite(siteSeed());
      await register(first, 1);
      const stores = [first, await database.open(), await database.open()];
      const results = await Promise.all(
        Array.from({ length: 9 }, (_, n) =>
          stores[n % 3]!.commitRegistration(
            write(1, { kid: `kid-new-${n}`, provenByKid: 'kid-of-1', enrolmentTokenHash: null }),
          ),
        ),
      );
      expect(results.filter((result) => result.status === 'REGISTERED')).toEqual([
        { status: 'REGISTERED', reason: 'NONE', epoch: 2 },
      ]);
      expect(results.filter((result) => result.reason === 'CLIENT_EXISTS')).toHaveLength(8);
      expect((await first.findClient(id('client', 1)))?.keys).toHaveLength(2);
      await Promise.all(stores.map((store) => store.close()));
    });

    it('starts a new epoch for a new key that the current key proves, without a token', async () => {
      const store = await fresh(1);
      await store.commitRegistration(write(1));
      const next = write(1, {
        kid: 'kid-b',
        provenByKid: 'kid-of-1',
        enrolmentTokenHash: null,
        machineName: 'NEW',
      });
      expect(await store.commitRegistration(next)).toEqual({
        status: 'REGISTERED',
        reason: 'NONE',
        epoch: 2,
      });
      expect(await store.commitRegistration(next)).toMatchObject({ status: 'ALREADY_REGISTERED', epoch: 2 });
      expect(await store.findClient(id('client', 1))).toMatchObject({
        epoch: 2,
        machineName: 'NEW',
        keys: [{ kid: 'kid-of-1' }, { kid: 'kid-b' }],
      });
      // The old registration delivered late changes nothing.
      expect(await store.commitRegistration(write(1))).toMatchObject({
        status: 'ALREADY_REGISTERED',
        epoch: 1,
      });
      expect((await store.findClient(id('client', 1)))?.epoch).toBe(2);
      await store.close();
    });

    it('refuses a new key for a known client by a token, or by a key that is not the current one', async () => {
      const store = await fresh();
      await store.commitRegistration(write(1));
      await store.commitRegistration(write(1, { kid: 'kid-b', provenByKid: 'kid-of-1' }));
      for (const provenByKid of [null, 'kid-of-1', 'kid-x']) {
        expect(await store.commitRegistration(write(1, { kid: 'kid-c', provenByKid }))).toMatchObject({
          status: 'REFUSED',
          reason: 'CLIENT_EXISTS',
        });
      }
      expect((await store.findClient(id('client', 1)))?.epoch).toBe(2);
      await store.close();
    });

    it('flags no client because a stranger sent its own key under that client id', async () => {
      const store = await fresh();
      await register(store, 1, 2);
      // Without a proof, and with one by a key that is not the current one of client 2.
      for (const provenByKid of [null, 'kid-of-1']) {
        expect(await store.commitRegistration(write(2, { kid: 'kid-of-1', provenByKid }))).toMatchObject({
          reason: 'KEY_IN_USE',
        });
      }
      expect((await store.findClient(id('client', 1)))?.flags).toMatchObject([{ flag: 'CLONE' }]);
      expect((await store.findClient(id('client', 2)))?.flags).toEqual([]);
      await store.close();
    });

    it('refuses the key of another client and flags both as clones', async () => {
      const store = await fresh();
      await register(store, 1, 2);
      expect(
        await store.commitRegistration(write(2, { kid: 'kid-of-1', provenByKid: 'kid-of-2' })),
      ).toMatchObject({
        status: 'REFUSED',
        reason: 'KEY_IN_USE',
      });
      expect((await store.findClient(id('client', 1)))?.flags).toMatchObject([{ flag: 'CLONE' }]);
      expect((await store.findClient(id('client', 2)))?.flags).toMatchObject([{ flag: 'CLONE' }]);
      // A new client id with the same key takes no token use either.
      const before = await usesLeft(store);
      expect(await store.commitRegistration(write(3, { kid: 'kid-of-1' }))).toMatchObject({
        reason: 'KEY_IN_USE',
      });
      expect(await usesLeft(store)).toBe(before);
      expect(await store.findClient(id('client', 3))).toBeNull();
      await store.close();
    });

    it('keeps a blocked client blocked, whatever it registers, until it is unblocked', async () => {
      const store = await fresh();
      await register(store, 1);
      await store.setClientState(id('client', 1), 'BLOCKED', 'operator');
      for (const change of [{}, { kid: 'kid-b', provenByKid: 'kid-of-1' }, { kid: 'kid-b' }]) {
        expect(await store.commitRegistration(write(1, change))).toMatchObject({
          status: 'REFUSED',
          reason: 'CLIENT_BLOCKED',
        });
      }
      await store.setClientState(id('client', 1), 'ACTIVE', 'operator');
      expect(await store.commitRegistration(write(1))).toMatchObject({ status: 'ALREADY_REGISTERED' });
      await expect(store.setClientState(id('client', 9), 'BLOCKED', 'operator')).rejects.toMatchObject({
        code: 'VALUE_INVALID',
      });
      await store.close();
    });
  });
}
