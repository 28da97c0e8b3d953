import { describe, expect, it } from 'vitest';
import type { Admission, RegistrationWrite, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { HARD_TEXTS } from '../hard-values.js';
import { id, register, siteSeed, T0, TOKEN_HASH } from '../world.js';

const DAY_MS = 86_400_000;
const HARD_TEXT = HARD_TEXTS[3]!;
const CERTIFICATE = { kind: 'client-certificate', subject: 'ab'.repeat(32) } as const;
const OTHER_CERTIFICATE = { kind: 'client-certificate', subject: 'cd'.repeat(32) } as const;
const DEVICE = { kind: 'entra', subject: `${id('misc', 71)}/${id('misc', 72)}` } as const;

const admission = (change: Partial<Admission> = {}): Admission => ({
  channels: ['client-certificate', 'entra'],
  channelRenews: false,
  approval: false,
  pendingMax: 100,
  ...change,
});
const APPROVAL = admission({ approval: true });

const write = (n: number, change: Partial<RegistrationWrite> = {}): RegistrationWrite => ({
  clientId: id('client', n),
  registrationId: id('misc', 3000 + n),
  kid: `kid-of-${n}`,
  publicJwk: '{"kty":"EC"}',
  enrolmentTokenHash: null,
  provenByKid: null,
  machineName: `PC${n}`,
  domain: 'CONTOSO',
  hardwareId: '',
  joinType: 'HYBRID',
  atMs: T0,
  admission: admission(),
  ...change,
});

const REGISTERED = { status: 'REGISTERED', reason: 'NONE', epoch: 1 };
const PENDING = { status: 'PENDING', reason: 'NONE', epoch: 0 };
const approval = { by: 'CONTOSO\\operator', tag: 'north', atMs: T0 + 5000 };

/** What lets a client in beside a token and its own key: channels, operators. */
export function admissions(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    return store;
  };
  const usesLeft = async (store: SiteStore): Promise<number> =>
    (await store.readEnrolmentTokens())[0]!.usesLeft;

  describe('registration over a channel', () => {
    it('lets in the client that a certificate or device names, and remembers which', async () => {
      const store = await fresh();
      expect(await store.commitRegistration(write(1, { channel: CERTIFICATE }))).toEqual(REGISTERED);
      expect(await store.commitRegistration(write(2, { channel: DEVICE }))).toEqual(REGISTERED);
      expect((await store.findClient(id('client', 1)))?.keys[0]?.channel).toEqual(CERTIFICATE);
      expect((await store.findClient(id('client', 2)))?.keys[0]?.channel).toEqual(DEVICE);
      await store.close();
    });

    it('takes a use and the tag where a token comes with it, and needs none that is left', async () => {
      const store = await fresh();
      const before = await usesLeft(store);
      await store.commitRegistration(write(1, { channel: CERTIFICATE, enrolmentTokenHash: TOKEN_HASH }));
      expect(await usesLeft(store)).toBe(before - 1);
      expect((await store.findClient(id('client', 1)))?.tag).toBe('first');
      const bad = write(2, { channel: DEVICE, enrolmentTokenHash: Buffer.alloc(32, 7) });
      expect(await store.commitRegistration(bad)).toEqual(REGISTERED);
      expect(await usesLeft(store)).toBe(before - 1);
      await store.close();
    });

    it('lets nobody in over a channel that is not allowed, or without saying what is', async () => {
      const store = await fresh();
      const only = write(1, { channel: DEVICE, admission: admission({ channels: ['client-certificate'] }) });
      expect(await store.commitRegistration(only)).toMatchObject({ reason: 'TOKEN_REFUSED' });
      const silent: Partial<RegistrationWrite> = write(1, { channel: DEVICE });
      delete (silent as { admission?: Admission }).admission;
      expect(await store.commitRegistration(silent as RegistrationWrite)).toMatchObject({
        reason: 'TOKEN_REFUSED',
      });
      expect(await store.findClient(id('client', 1))).toBeNull();
      await store.close();
    });

    it('takes a new key that the same certificate signed, and no other, as a new epoch', async () => {
      const store = await fresh();
      await store.commitRegistration(write(1, { channel: CERTIFICATE }));
      for (const certificateSubject of [null, OTHER_CERTIFICATE.subject]) {
        const other = { kid: 'kid-b', certificateSubject, channel: OTHER_CERTIFICATE };
        expect(await store.commitRegistration(write(1, other))).toMatchObject({ reason: 'CLIENT_EXISTS' });
      }
      // The signature counts, not what a gateway says of the channel.
      const signed = write(1, { kid: 'kid-b', certificateSubject: CERTIFICATE.subject });
      expect(await store.commitRegistration(signed)).toEqual({ ...REGISTERED, epoch: 2 });
      // And it goes on to count: the next key remembers the certificate.
      const next = { kid: 'kid-c', certificateSubject: CERTIFICATE.subject };
      expect(await store.commitRegistration(write(1, next))).toMatchObject({ epoch: 3 });
      expect((await store.findClient(id('client', 1)))?.keys.map((key) => key.kid)).toEqual([
        'kid-of-1',
        'kid-b',
        'kid-c',
      ]);
      await store.close();
    });

    it("keeps a new key for an operator where only the gateway says that it is the client's device", async () => {
      const store = await fresh();
      await store.commitRegistration(write(1, { channel: DEVICE }));
      const renewed = write(1, { kid: 'kid-b', channel: DEVICE });
      expect(await store.commitRegistration(renewed)).toEqual({ ...PENDING, epoch: 1 });
      const trusting = { ...renewed, admission: admission({ channelRenews: true }) };
      expect(await store.commitRegistration(trusting)).toEqual({ ...REGISTERED, epoch: 2 });
      expect(await store.readPendingRegistrations(10)).toEqual([]);
      // Another device, and a client that came by token, have nothing that a channel could be compared with.
      await register(store, 2);
      for (const n of [1, 2]) {
        const other = write(n, { kid: 'kid-x', channel: { ...DEVICE, subject: 'a/b' } });
        expect(
          await store.commitRegistration({ ...other, admission: admission({ channelRenews: true }) }),
        ).toMatchObject({ reason: 'CLIENT_EXISTS' });
      }
      await store.close();
    });

    it('takes over no client by a leaked token, whatever comes with it', async () => {
      const store = await fresh();
      await register(store, 1);
      await store.commitRegistration(write(2, { channel: CERTIFICATE }));
      const before = await usesLeft(store);
      for (const change of [{}, { channel: OTHER_CERTIFICATE }, { channel: DEVICE }]) {
        for (const n of [1, 2]) {
          const stolen = write(n, { kid: 'kid-thief', enrolmentTokenHash: TOKEN_HASH, ...change });
          expect(await store.commitRegistration(stolen)).toMatchObject({ reason: 'CLIENT_EXISTS' });
        }
      }
      expect(await usesLeft(store)).toBe(before);
      expect(await store.findKeyOwners('kid-thief')).toEqual([]);
      await store.close();
    });
  });

  describe('registrations that wait for an operator', () => {
    it('keeps one, tells the same again, and registers it when it is approved', async () => {
      const store = await fresh();
      const waiting = write(1, { admission: APPROVAL, machineName: HARD_TEXT, channel: null });
      expect(await store.commitRegistration(waiting)).toEqual(PENDING);
      expect(await store.commitRegistration({ ...waiting, atMs: T0 + 1000 })).toEqual(PENDING);
      expect(await store.findClient(id('client', 1))).toBeNull();
      expect(await store.readPendingRegistrations(10)).toEqual([
        {
          clientId: id('client', 1),
          kid: 'kid-of-1',
          machineName: HARD_TEXT,
          domain: 'CONTOSO',
          hardwareId: '',
          joinType: 'HYBRID',
          channel: null,
          firstAskedAtMs: T0,
          lastAskedAtMs: T0 + 1000,
        },
      ]);
      expect(await store.approveRegistration(id('client', 1), 'kid-other', approval)).toBeNull();
      expect(await store.approveRegistration(id('client', 1), 'kid-of-1', approval)).toEqual(REGISTERED);
      expect(await store.approveRegistration(id('client', 1), 'kid-of-1', approval)).toBeNull();
      expect(await store.readPendingRegistrations(10)).toEqual([]);
      expect(await store.findClient(id('client', 1))).toMatchObject({
        ...{ state: 'ACTIVE', epoch: 1, machineName: HARD_TEXT, tag: 'north' },
        keys: [{ kid: 'kid-of-1', approvedBy: 'CONTOSO\\operator', registeredAtMs: T0 + 5000 }],
      });
      expect(await store.commitRegistration(waiting)).toMatchObject({ status: 'ALREADY_REGISTERED' });
      await store.close();
    });

    it('starts a new epoch for a re-imaged machine, and every key stays', async () => {
      const store = await fresh();
      await register(store, 1);
      const reimaged = write(1, { kid: 'kid-b', admission: APPROVAL });
      expect(await store.commitRegistration(reimaged)).toEqual({ ...PENDING, epoch: 1 });
      expect((await store.findClient(id('client', 1)))?.epoch).toBe(1);
      expect(await store.approveRegistration(id('client', 1), 'kid-b', approval)).toMatchObject({
        status: 'REGISTERED',
        epoch: 2,
      });
      const client = await store.findClient(id('client', 1));
      expect(client?.keys.map((key) => key.kid)).toEqual(['kid-of-1', 'kid-b']);
      expect(client?.tag).toBe('first');
      await store.close();
    });

    it('refuses a refused token at once, and waits without one', async () => {
      const store = await fresh();
      const bad = write(1, { admission: APPROVAL, enrolmentTokenHash: Buffer.alloc(32, 7) });
      expect(await store.commitRegistration(bad)).toMatchObject({ reason: 'TOKEN_REFUSED' });
      expect(await store.readPendingRegistrations(10)).toEqual([]);
      await store.close();
    });

    it('keeps several keys of one client id apart, and drops one alone', async () => {
      const store = await fresh();
      for (const kid of ['kid-a', 'kid-A']) {
        expect(await store.commitRegistration(write(1, { kid, admission: APPROVAL }))).toEqual(PENDING);
      }
      expect(await store.readPendingRegistrations(10)).toHaveLength(2);
      expect(await store.rejectRegistration(id('client', 1), 'kid-a')).toBe(true);
      expect(await store.rejectRegistration(id('client', 1), 'kid-a')).toBe(false);
      expect(await store.readPendingRegistrations(10)).toMatchObject([{ kid: 'kid-A' }]);
      await store.close();
    });

    it('takes no more than its bound; who has not asked for a week makes room', async () => {
      const store = await fresh();
      const two = admission({ approval: true, pendingMax: 2 });
      expect(await store.commitRegistration(write(1, { admission: two }))).toEqual(PENDING);
      expect(await store.commitRegistration(write(2, { admission: two }))).toEqual(PENDING);
      const third = write(3, { admission: two });
      expect(await store.commitRegistration(third)).toMatchObject({ status: 'REFUSED', reason: 'TEMPORARY' });
      // Who waits already goes on to wait.
      const asking = write(1, { admission: two, atMs: T0 + DAY_MS });
      expect(await store.commitRegistration(asking)).toEqual(PENDING);
      expect(await store.commitRegistration({ ...third, atMs: T0 + 7.5 * DAY_MS })).toEqual(PENDING);
      expect((await store.readPendingRegistrations(10)).map((row) => row.clientId)).toEqual([
        id('client', 1),
        id('client', 3),
      ]);
      await store.close();
    });

    it('approves nothing that cannot be any more', async () => {
      const store = await fresh();
      await register(store, 1);
      await store.commitRegistration(write(1, { kid: 'kid-b', admission: APPROVAL }));
      await store.setClientState(id('client', 1), 'BLOCKED', 'operator');
      expect(await store.approveRegistration(id('client', 1), 'kid-b', approval)).toMatchObject({
        reason: 'CLIENT_BLOCKED',
      });
      await store.commitRegistration(write(2, { kid: 'kid-c', admission: APPROVAL }));
      await store.commitRegistration(write(3, { kid: 'kid-c', enrolmentTokenHash: TOKEN_HASH }));
      expect(await store.approveRegistration(id('client', 2), 'kid-c', approval)).toMatchObject({
        reason: 'KEY_IN_USE',
      });
      expect(await store.findClient(id('client', 2))).toBeNull();
      await store.close();
    });

    it('registers once, whoever approves and whoever sends at once', async () => {
      const database = await make();
      const stores = [await database.open()];
      await stores[0]!.createSite(siteSeed());
      stores.push(await database.open(), await database.open());
      await register(stores[0]!, 1);
      const kids = ['kid-a', 'kid-b', 'kid-c'];
      for (const kid of kids) await stores[0]!.commitRegistration(write(1, { kid, admission: APPROVAL }));
      const results = await Promise.all(
        [...kids, ...kids].map((kid, n) =>
          stores[n % 3]!.approveRegistration(id('client', 1), kid, approval),
        ),
      );
      expect(results.filter((result) => result?.status === 'REGISTERED')).toHaveLength(3);
      const client = await stores[0]!.findClient(id('client', 1));
      expect(client?.epoch).toBe(4);
      expect(client?.keys.map((key) => key.epoch)).toEqual([1, 2, 3, 4]);
      await Promise.all(stores.map((store) => store.close()));
    });
  });

  describe('machines that look alike', () => {
    it('lists clients, and flags clones and hardware ids that occur twice', async () => {
      const store = await fresh();
      const token = { enrolmentTokenHash: TOKEN_HASH };
      for (const [n, hardwareId] of ['HW-1', 'HW-1', 'HW-2', '', ''].entries())
        await store.commitRegistration(write(n + 1, { ...token, hardwareId, atMs: T0 + n }));
      await store.commitRegistration(write(9, { ...token, kid: 'kid-of-3' }));
      expect((await store.listClients({ flagged: false, limit: 3 })).map((row) => row.clientId)).toEqual(
        [5, 4, 3].map((n) => id('client', n)),
      );
      expect(await store.listClients({ flagged: true, limit: 10 })).toMatchObject([
        { clientId: id('client', 3), clone: true, sameHardware: false },
        { clientId: id('client', 2), clone: false, sameHardware: true, hardwareId: 'HW-1', tag: 'first' },
        { clientId: id('client', 1), clone: false, sameHardware: true },
      ]);
      const hints = { hardwareId: 'HW-1', machineName: 'PC4', domain: 'CONTOSO' };
      expect(await store.findLookAlikes(id('client', 1), hints)).toEqual({
        sameHardware: [id('client', 2)],
        sameName: [id('client', 4)],
      });
      const none = { hardwareId: '', machineName: '', domain: '' };
      expect(await store.findLookAlikes(id('client', 4), none)).toEqual({ sameHardware: [], sameName: [] });
      await store.close();
    });

    it('merges by a row that re-points nothing, after which they look alike no more', async () => {
      const store = await fresh();
      for (const n of [1, 2, 3])
        await store.commitRegistration(write(n, { enrolmentTokenHash: TOKEN_HASH, hardwareId: 'HW' }));
      await store.mergeClient(id('client', 1), id('client', 2), 'operator');
      const events = [
        { clientId: id('client', 1), event: 'MERGED', intoClientId: id('client', 2), by: 'operator' },
      ];
      expect(await store.readMachineEvents(id('client', 1))).toMatchObject(events);
      expect(await store.readMachineEvents(id('client', 2))).toMatchObject(events);
      expect((await store.findClient(id('client', 1)))?.state).toBe('ACTIVE');
      const flagged = await store.listClients({ flagged: true, limit: 10 });
      expect(flagged.map((row) => row.clientId).sort()).toEqual([id('client', 2), id('client', 3)]);
      for (const [from, into] of [
        [1, 3],
        [3, 1],
        [2, 2],
        [2, 8],
        [8, 2],
      ] as const) {
        await expect(
          store.mergeClient(id('client', from), id('client', into), 'operator'),
        ).rejects.toMatchObject({ code: 'VALUE_INVALID' });
      }
      expect(await store.readMachineEvents(id('client', 3))).toEqual([]);
      await store.close();
    });
  });
}
