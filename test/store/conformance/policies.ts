import { describe, expect, it } from 'vitest';
import type { DeviceRow } from '../../../src/store/policy-store.js';
import type { PolicyRing, PolicyRow, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase, TestDatabase } from '../conformance.js';
import type { VolumeType } from '../../../src/protocol/vocabulary.js';
import { id, register, siteSeed, T0, type MessageSpec, type PlanOptions } from '../world.js';
import { send as sendGroup } from './commits.js';

/** What JSON escapes, and what stands in for it. */
const HARD_TEXT = 'コンピュータ \\ "a" ~1 ß';

const ring = (position: number, change: Partial<PolicyRing> = {}): PolicyRing => ({
  ...{ position, tag: `ring-${position}`, state: 'CLOSED', opens: 'BY_HAND', failureLimit: 20 },
  ...{ soakMinutes: 60, rotationsPerHour: 100, openedAtMs: null, pausedAtMs: null, pauseReason: '' },
  ...change,
});
const OPEN = { state: 'OPEN', openedAtMs: T0 } as const;
const draft = (change: Partial<PolicyRow> = {}): PolicyRow => ({
  ...siteSeed().policy,
  ...{ policyId: id('misc', 70), name: 'Draft', state: 'DRAFT', deployedAtMs: null, createdAtMs: T0 + 1 },
  ...change,
});
const event = { event: 'CREATED', detail: '', atMs: T0, by: 'anna' } as const;

const send = (store: SiteStore, spec: MessageSpec, options: PlanOptions = {}): Promise<unknown> =>
  sendGroup(store, [spec], options);
const escrow = (
  client: number,
  message: number,
  sequence: number,
  of: { readonly key?: number; readonly volume?: number; readonly type?: VolumeType } = {},
): MessageSpec => ({
  ...{ client, message, sequence },
  volumes: [
    {
      volume: of.volume ?? client,
      type: of.type ?? 'OS',
      protectors: [{ key: of.key ?? message, password: `password of ${of.key ?? message}` }],
    },
  ],
});

/** Policies, rings, tags, management points and devices. */
export function policies(make: MakeDatabase): void {
  const fresh = async (): Promise<{ database: TestDatabase; store: SiteStore }> => {
    const database = await make();
    const store = await database.open();
    await store.createSite(siteSeed());
    return { database, store };
  };

  describe('policies', () => {
    it('come back as they were written, with their rings in order, and have a history', async () => {
      const { database, store } = await fresh();
      const text = HARD_TEXT;
      const rings = [ring(1, { ...OPEN, tag: 'pilot' }), ring(2, { tag: 'Pilot', opens: 'AFTER_PREVIOUS' })];
      const first = draft({ name: text, rings, mode: 'MANAGE', mbamMigration: true });
      expect(await store.policy.save(first, { ...event, detail: text })).toBe(true);
      const paused = ring(1, {
        ...OPEN,
        tag: 'pilot',
        state: 'PAUSED',
        pausedAtMs: T0 + 9,
        pauseReason: text,
      });
      const second: PolicyRow = {
        ...first,
        ...{
          revision: 2,
          state: 'DEPLOYED',
          deployedAtMs: T0 + 5,
          rings: [paused],
          rotateBesideOthers: true,
        },
        ...{ removableDrives: false, checkIntervalMinutes: 2880, targetTag: 'x' },
      };
      expect(await store.policy.save(second, { ...event, event: 'DEPLOYED', by: text })).toBe(true);
      const other = await database.open();
      expect(await other.readPolicies()).toEqual([siteSeed().policy, second]);
      expect(await other.policy.events(first.policyId, 1)).toEqual([
        { ...event, policyId: first.policyId, revision: 2, event: 'DEPLOYED', by: text },
      ]);
      expect((await other.policy.events(first.policyId, 10)).map((one) => one.revision)).toEqual([2, 1]);
      await expect(database.sql("UPDATE MPE_PolicyEvents SET DoneBy = 'x'")).rejects.toThrow(/append-only/);
      await other.close();
      await store.close();
    });

    it('are changed by one of two that read the same revision', async () => {
      const { database, store } = await fresh();
      await store.policy.save(draft(), event);
      const others = await Promise.all(Array.from({ length: 4 }, () => database.open()));
      const saved = await Promise.all(
        [store, ...others].map((one, n) =>
          one.policy.save(draft({ revision: 2, name: `name ${n}`, rings: [ring(1)] }), {
            ...event,
            event: 'CHANGED',
            by: `n${n}`,
          }),
        ),
      );
      expect(saved.filter(Boolean)).toHaveLength(1);
      const winner = saved.indexOf(true);
      const [now] = (await store.readPolicies()).filter((one) => one.policyId === draft().policyId);
      expect([now?.name, now?.rings.length]).toEqual([`name ${winner}`, 1]);
      expect((await store.policy.events(draft().policyId, 9)).map((one) => one.by)).toEqual([
        `n${winner}`,
        'anna',
      ]);
      expect(await store.policy.save(draft({ revision: 9 }), event)).toBe(false);
      for (const one of [store, ...others]) await one.close();
    });
  });

  describe('rings', () => {
    it('count their machines, those heard from since they opened, and those that fail', async () => {
      const { store } = await fresh();
      const opened = T0 + 1000;
      const rings = [ring(1, { ...OPEN, openedAtMs: opened }), ring(2), ring(3, { tag: 'RING-1' })];
      await store.policy.save(draft({ state: 'DEPLOYED', deployedAtMs: T0, rings }), event);
      await register(store, 1, 2, 3, 4, 5, 6, 7, 8);
      for (const n of [1, 2, 3, 4, 5, 6, 7]) await store.policy.setClientTag(id('client', n), 'ring-1');
      await store.policy.setClientTag(id('client', 8), 'ring-2');
      expect(await store.policy.setClientTag(id('client', 99), 'x')).toBe(false);
      // 1: fine. 2: reports an error. 3: the last escrow was refused, 4: an earlier one. 5: from before. 7: blocked.
      const error = { code: 5n, text: 'no TPM', atMs: 0 };
      await send(store, { client: 1, message: 1, sequence: 1, state: {} }, { atMs: opened });
      await send(
        store,
        { client: 2, message: 2, sequence: 1, state: { lastError: error } },
        { atMs: opened },
      );
      await send(store, escrow(3, 3, 1), { atMs: opened });
      await send(store, escrow(3, 4, 2), { atMs: opened, disposition: 'REJECTED' });
      await send(store, escrow(4, 5, 1), { atMs: opened, disposition: 'REJECTED' });
      await send(store, escrow(4, 6, 2), { atMs: opened });
      await send(store, { client: 5, message: 7, sequence: 1, state: { lastError: error } }, { atMs: T0 });
      await send(
        store,
        { client: 7, message: 8, sequence: 1, state: { lastError: error } },
        { atMs: opened },
      );
      await store.setClientState(id('client', 7), 'BLOCKED', 'anna');
      await send(
        store,
        { client: 8, message: 9, sequence: 1, state: { lastError: error } },
        { atMs: opened },
      );
      const counts = (await store.policy.ringCounts()).map(({ position, machines, heard, failed }) => [
        ...[position, machines, heard, failed],
      ]);
      expect(counts).toEqual([
        [1, 6, 4, 2],
        [2, 1, 0, 0],
        [3, 0, 0, 0],
      ]);
      await store.close();
    });

    it('see a rotation whose last word is that it failed', async () => {
      const { store } = await fresh();
      const rings = [ring(1, { ...OPEN })];
      await store.policy.save(draft({ state: 'DEPLOYED', deployedAtMs: T0, rings }), event);
      await register(store, 1, 2);
      const request = id('misc', 900);
      for (const n of [1, 2]) {
        await store.policy.setClientTag(id('client', n), 'ring-1');
        await send(store, escrow(n, n, 1, { key: 1, volume: 1 }), { atMs: T0 });
      }
      await store.openRotationRequest(
        { requestId: request, volumeId: id('volume', 1), keyId: id('key', 1), deadlineMs: T0 + 5 },
        T0 + 1,
      );
      const report = (outcome: 'FAILED' | 'ADDED') => ({
        rotation: { requestId: request, outcome, errorCode: null, errorText: null, newKeyId: null },
      });
      await send(store, { client: 1, message: 11, sequence: 2, ...report('FAILED') }, { atMs: T0 + 9 });
      await send(store, { client: 2, message: 12, sequence: 2, ...report('FAILED') }, { atMs: T0 + 9 });
      expect((await store.policy.ringCounts())[0]).toMatchObject({ machines: 2, heard: 2, failed: 2 });
      await send(store, { client: 2, message: 13, sequence: 3, ...report('ADDED') }, { atMs: T0 + 10 });
      expect((await store.policy.ringCounts())[0]).toMatchObject({ machines: 2, heard: 2, failed: 1 });
      await store.close();
    });

    it('name the clients whose keys a migration has not reached', async () => {
      const { store } = await fresh();
      await register(store, 1, 2, 3, 4);
      for (const n of [1, 2, 3]) await store.policy.setClientTag(id('client', n), 'a');
      await send(store, escrow(1, 1, 1, { key: 1, volume: 1 }));
      await send(store, escrow(2, 2, 1, { key: 2, volume: 2 }));
      await send(store, { client: 2, message: 3, sequence: 2, state: { otherManagers: ['MBAM'] } });
      await send(store, escrow(3, 4, 1, { key: 3, volume: 3, type: 'REMOVABLE' }));
      await send(store, escrow(4, 5, 1, { key: 4, volume: 4 }));
      const found = async (tag: string, besideOthers = false, limit = 10): Promise<unknown> =>
        (await store.policy.migrationCandidates(tag, { besideOthers, limit })).map((one) => one.clientId);
      expect(await found('a')).toEqual([id('client', 1)]);
      expect(await found('A')).toEqual([]);
      expect(await found('a', true)).toEqual([id('client', 1), id('client', 2)]);
      expect(await found('a', true, 1)).toEqual([id('client', 1)]);
      expect(await store.policy.begunSince('ring', T0)).toBe(0);
      await store.rotation.open([
        {
          ...{ requestId: id('misc', 901), exposureId: id('misc', 902), volumeId: id('volume', 1) },
          ...{ keyId: id('key', 1), origin: 'MIGRATION', requestedBy: 'ring', deadlineMs: T0 + 5 },
          ...{ notBeforeMs: T0, atMs: T0 + 1, evenAbsent: false },
        },
      ]);
      expect(await found('a')).toEqual([]);
      expect(await store.policy.begunSince('ring', T0)).toBe(1);
      expect(await store.policy.begunSince('ring', T0 + 2)).toBe(0);
      // The new key of the same volume is no candidate: the volume was reached.
      await send(store, escrow(1, 6, 2, { key: 5, volume: 1 }));
      expect(await found('a')).toEqual([]);
      await store.close();
    });
  });

  describe('management points', () => {
    it('are noted once, changed when they change, and seldom else', async () => {
      const { store } = await fresh();
      const point = { id: 'mp-ä\\"~1', channel: 'HTTPS', address: 'https://mp:8443' } as const;
      await store.policy.recordManagementPoints([point], T0);
      await Promise.all([1, 2, 3].map((n) => store.policy.recordManagementPoints([point], T0 + n)));
      expect(await store.policy.managementPoints()).toEqual([
        { ...point, firstSeenAtMs: T0, lastSeenAtMs: T0 },
      ]);
      await store.policy.recordManagementPoints([], T0 + 5);
      await store.policy.recordManagementPoints([{ ...point, channel: 'HTTP' }], T0 + 10);
      await store.policy.recordManagementPoints([{ ...point, channel: 'HTTP' }], T0 + 60_010);
      expect(await store.policy.managementPoints()).toEqual([
        { ...point, channel: 'HTTP', firstSeenAtMs: T0, lastSeenAtMs: T0 + 60_010 },
      ]);
      await store.close();
    });
  });

  describe('devices', () => {
    const device = (name: string, change: Partial<DeviceRow> = {}): DeviceRow => ({
      ...{
        deviceKey: `corp\\${name.toLowerCase()}`,
        machineName: name,
        domain: 'CORP',
        hardwareId: '',
        tag: '',
      },
      ...change,
    });

    it('are added, changed and, where the list is the whole one, removed', async () => {
      const { store } = await fresh();
      const import_ = (rows: readonly DeviceRow[], replace = false) =>
        store.policy.importDevices(rows, { replace, atMs: T0 });
      const two = [device('GERÄT-ß', { hardwareId: HARD_TEXT }), device('PC-2')];
      expect(await import_(two)).toEqual({ added: 2, changed: 0, unchanged: 0, removed: 0 });
      expect(await import_(two)).toEqual({ added: 0, changed: 0, unchanged: 2, removed: 0 });
      const next = [device('PC-2', { tag: 'x' }), device('电脑-01')];
      expect(await import_(next)).toEqual({ added: 1, changed: 1, unchanged: 0, removed: 0 });
      expect((await store.policy.coverage(T0)).devices).toHaveLength(3);
      expect(await import_(next, true)).toEqual({ added: 0, changed: 0, unchanged: 2, removed: 1 });
      const { devices } = await store.policy.coverage(T0);
      expect(new Set(devices)).toEqual(new Set(next));
      await store.close();
    });

    it('may be many', async () => {
      const { store } = await fresh();
      const rows = Array.from({ length: 6001 }, (_, n) => device(`PC-${n}`));
      const options = { replace: false, atMs: T0 };
      expect(await store.policy.importDevices(rows, options)).toMatchObject({ added: 6001 });
      expect(await store.policy.importDevices(rows.slice(1), { ...options, replace: true })).toMatchObject({
        ...{ unchanged: 6000, removed: 1 },
      });
      await store.close();
    });
  });
}
