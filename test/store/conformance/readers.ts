import { describe, expect, it } from 'vitest';
import type { SiteStore } from '../../../src/store/site-store.js';
import { SeededRandom } from '../../support/random.js';
import type { MakeDatabase } from '../conformance.js';
import { candidate, id, register, siteSeed, T0, type MessageSpec } from '../world.js';
import { escrow, send } from './commits.js';

/** All lines of the site hash as text. */
export async function hashText(store: SiteStore): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of store.hashLines()) lines.push(`${line.table} ${line.columns.join(' ')}`);
  return lines;
}

/** Ranks, check-ins, key search, rotation, the site hash. */
export function readers(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1, 2);
    return store;
  };
  const current = async (store: SiteStore): Promise<string[]> =>
    (await hashText(store))
      .filter((line) => line.startsWith('reports '))
      .map((line) => line.split(' ').at(-1)!);
  const report = (message: number, key: number, change: Partial<MessageSpec> = {}) =>
    escrow(message, {
      volumes: [{ volume: 1, protectors: [{ key, password: `password ${key}` }] }],
      ...change,
    });

  describe('ranks', () => {
    it('keeps the report of the highest sequence, whichever comes first', async () => {
      const store = await fresh();
      await send(store, [report(5, 5)]);
      await send(store, [report(4, 4)]);
      expect(await current(store)).toEqual([id('key', 5)]);
      // The late one's key is stored all the same.
      expect((await store.counts()).keys).toBe(2);
      await send(store, [report(6, 6)]);
      expect(await current(store)).toEqual([id('key', 6)]);
      await store.close();
    });

    it('lets a higher epoch outrank any sequence, and decides equal sequences by digest', async () => {
      const store = await fresh();
      await send(store, [report(1, 1, { sequence: 2n ** 60n })]);
      await send(store, [report(2, 2, { epoch: 2, sequence: 1 })]);
      expect(await current(store)).toEqual([id('key', 2)]);
      await send(store, [report(3, 3, { sequence: 2n ** 62n })]);
      expect(await current(store)).toEqual([id('key', 2)]);
      const twins = [report(4, 4, { epoch: 3, sequence: 7 }), report(5, 5, { epoch: 3, sequence: 7 })];
      const winner = [...twins].sort((a, b) =>
        Buffer.compare(candidate(a).rank.digest, candidate(b).rank.digest),
      )[1]!;
      await send(store, twins);
      expect(await current(store)).toEqual([id('key', winner.message)]);
      await store.close();
    });

    it('keeps the report of a volume that a later message does not name', async () => {
      const store = await fresh();
      await send(store, [report(1, 1), escrow(2, { volumes: [{ volume: 2, protectors: [{ key: 2 }] }] })]);
      await send(store, [escrow(3, { volumes: [] })]);
      expect(await current(store)).toEqual([id('key', 1), id('key', 2)]);
      await store.close();
    });

    it('never compares two clients', async () => {
      const store = await fresh();
      await send(store, [report(9, 9, { sequence: 1000 })]);
      await send(store, [report(1, 1, { client: 2 })]);
      expect(await current(store)).toEqual([id('key', 9), id('key', 1)]);
      await store.close();
    });
  });

  describe('check-ins', () => {
    const checkIn = (message: number, key: number, change: Partial<MessageSpec> = {}): MessageSpec => ({
      client: 1,
      message,
      sequence: message,
      volumes: [{ volume: 1, type: 'FIXED', protectors: [{ key }] }],
      state: {
        machineName: `NAME-${message}`,
        domain: 'LAB',
        users: [{ domain: 'LAB', name: `user ${message}` }],
        otherManagers: ['INTUNE'],
        lastError: { code: -(2n ** 40n), text: 'x', atMs: T0 },
      },
      ...change,
    });

    it('replaces reports, state and users by rank, leaves no outcome, and makes no key', async () => {
      const database = await make();
      const store = await database.open();
      await store.createSite(siteSeed());
      await register(store, 1);
      expect(await send(store, [checkIn(5, 5)])).toEqual(['COMMITTED']);
      expect(await store.counts()).toMatchObject({ keys: 0, outcomes: 0 });
      expect((await store.classify([candidate(checkIn(5, 5))]))[0]?.stateRank).toEqual(
        candidate(checkIn(5, 5)).rank,
      );
      expect(await send(store, [checkIn(5, 5)])).toEqual(['ALREADY_COMMITTED']);
      expect(await send(store, [checkIn(4, 4)])).toEqual(['COMMITTED']);
      expect(await current(store)).toEqual([id('key', 5)]);
      const users = 'SELECT UserName FROM RecoveryAndHardwareCore_Machines_Users';
      expect(await database.sql(users)).toEqual([{ UserName: 'user 5' }]);
      await send(store, [checkIn(6, 6)]);
      expect(await current(store)).toEqual([id('key', 6)]);
      expect(await database.sql(users)).toEqual([{ UserName: 'user 6' }]);
      expect(await database.sql('SELECT Name, DomainName FROM RecoveryAndHardwareCore_Machines')).toEqual([
        { Name: 'NAME-6', DomainName: 'LAB' },
      ]);
      await store.close();
    });

    it('answers twins of one check-in in a group', async () => {
      const store = await fresh();
      expect(await send(store, [checkIn(1, 1), checkIn(1, 1)])).toEqual(['COMMITTED', 'ALREADY_COMMITTED']);
      await store.close();
    });

    it('flags a clone by check-ins alone', async () => {
      const store = await fresh();
      await send(store, [checkIn(1, 1)]);
      await send(store, [checkIn(2, 2, { sequence: 1 })]);
      expect((await store.classify([candidate(checkIn(3, 3))]))[0]?.registerAnew).toBe(true);
      await store.close();
    });
  });

  describe('finding keys', () => {
    it('finds by eight or more digits however they are written, and not by fewer', async () => {
      const store = await fresh();
      await send(store, [escrow(1), escrow(2)]);
      for (const text of ['8637036e', '8637036E', '{8637036e-0000', '8637036e-0000-4000-8000-0000 0000 00']) {
        expect(await store.findKeys(text, 10)).toHaveLength(2);
      }
      expect(await store.findKeys(id('key', 2).toUpperCase(), 10)).toMatchObject([{ keyId: id('key', 2) }]);
      expect(await store.findKeys('8637036f', 10)).toEqual([]);
      expect(await store.findKeys('8637036e', 1)).toHaveLength(1);
      for (const text of ['8637036', '', '8637036e%', "8637036e' OR 1=1", '8637036_', `${id('key', 1)}0`]) {
        await expect(store.findKeys(text, 10)).rejects.toMatchObject({ code: 'VALUE_INVALID' });
      }
      await store.close();
    });

    it('says where a key is no longer current', async () => {
      const store = await fresh();
      await send(store, [report(1, 1)], { atMs: T0 });
      await send(store, [report(2, 2)], { atMs: T0 + 5 });
      expect(await store.findKeys(id('key', 1), 10)).toEqual([
        {
          keyId: id('key', 1),
          volumeId: id('volume', 1),
          volumeType: 'OS',
          firstStoredAtMs: T0,
          lastProvenAtMs: T0,
          readable: true,
          hasPackage: false,
          conflict: false,
          disclosed: false,
          holders: [{ clientId: id('client', 1), machineName: 'PC1', current: false, reportedAtMs: T0 + 5 }],
        },
      ]);
      await store.close();
    });

    it('gives a volume the type of its newest report', async () => {
      const store = await fresh();
      const typed = (message: number, type: 'OS' | 'REMOVABLE', client: number) =>
        escrow(message, { client, volumes: [{ volume: 1, type, protectors: [{ key: 1, password: 'a' }] }] });
      await send(store, [typed(1, 'OS', 1)], { atMs: T0 });
      await send(store, [typed(2, 'REMOVABLE', 2)], { atMs: T0 + 1 });
      expect(await store.findKeys(id('key', 1), 10)).toMatchObject([{ volumeType: 'REMOVABLE' }]);
      await store.close();
    });
  });

  describe('rotation', () => {
    const request = {
      requestId: id('misc', 60),
      volumeId: id('volume', 1),
      keyId: id('key', 1),
      deadlineMs: T0 + 9,
    };
    const rotation = (message: number, requestId = request.requestId, client = 1): MessageSpec => ({
      client,
      message,
      sequence: message,
      rotation: { requestId, outcome: 'FAILED', errorCode: -5n, errorText: 'x', newKeyId: null },
    });

    it('shows an open request to clients that proved the key, until a new key of the volume is stored', async () => {
      const store = await fresh();
      await send(store, [report(1, 1)], { atMs: T0 });
      await store.openRotationRequest(request, T0 + 1);
      await store.openRotationRequest(request, T0 + 2);
      const [holder, stranger] = await store.classify([
        candidate(report(2, 1)),
        candidate(report(3, 1, { client: 2 })),
      ]);
      expect(holder?.rotations).toEqual([
        { ...request, origin: 'OPERATOR', notBeforeMs: 0, round: 1, delivered: false },
      ]);
      expect(stranger?.rotations).toEqual([]);
      await send(store, [report(4, 4)], { atMs: T0 + 5 });
      expect((await store.classify([candidate(report(5, 4))]))[0]?.rotations).toEqual([]);
      await store.close();
    });

    it('knows a report of an open request of this client alone, and keeps the claim', async () => {
      const store = await fresh();
      await send(store, [report(1, 1)]);
      await store.openRotationRequest(request, T0);
      const specs = [rotation(2), rotation(3, id('misc', 61)), rotation(4, request.requestId, 2)];
      const facts = await store.classify(specs.map(candidate));
      expect(facts.map((one) => one.rotationKnown)).toEqual([true, false, false]);
      const before = await hashText(store);
      expect(await send(store, [rotation(2), rotation(2)])).toEqual(['COMMITTED', 'ALREADY_COMMITTED']);
      expect(await hashText(store)).toEqual(before);
      await store.close();
    });
  });

  describe('site hash', () => {
    it('has the same lines for the same messages in any order, repeated and in any grouping', async () => {
      const specs: MessageSpec[] = [];
      for (let n = 1; n <= 40; n += 1) {
        const client = 1 + (n % 2);
        const protectors = [
          { key: n % 7, password: `password ${n % 11}` },
          { key: 50 + (n % 3), password: 'p', package: `package ${n % 2}` },
        ];
        specs.push({ client, message: n, sequence: n, volumes: [{ volume: n % 5, protectors }] });
      }
      specs.push({ client: 1, message: 41, sequence: 41, tpm: 'owner' });
      specs.push({
        client: 2,
        message: 42,
        sequence: 42,
        state: { machineName: 'X' },
        volumes: [{ volume: 1, protectors: [{ key: 9 }] }],
      });
      const hashes: string[][] = [];
      for (const seed of [1, 2, 3]) {
        const store = await fresh();
        const order = new SeededRandom(seed).shuffle([...specs, ...specs.slice(0, 10)]);
        const size = [1, 7, 64][seed - 1]!;
        for (let i = 0; i < order.length; i += size)
          await send(store, order.slice(i, i + size), { atMs: T0 + seed });
        hashes.push(await hashText(store));
        await store.close();
      }
      expect(hashes[0]!.length).toBeGreaterThan(40);
      expect(hashes[1]).toEqual(hashes[0]);
      expect(hashes[2]).toEqual(hashes[0]);
    });

    it('comes sorted by table and columns', async () => {
      const store = await fresh();
      await send(store, [escrow(3), escrow(1), escrow(2), { client: 2, message: 4, sequence: 4, tpm: 'x' }]);
      const lines: string[][] = [];
      for await (const line of store.hashLines()) lines.push([line.table, ...line.columns]);
      const sorted = [...lines].sort((a, b) =>
        Buffer.compare(Buffer.from(a.join('\0')), Buffer.from(b.join('\0'))),
      );
      expect(lines).toEqual(sorted);
      expect(new Set(lines.map(([table]) => table))).toEqual(
        new Set(['clients', 'keys', 'proofs', 'reports']),
      );
      await store.close();
    });
  });
}
