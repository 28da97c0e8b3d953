import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import pino from 'pino';
import { createPolicy, deployPolicy, findPolicy } from '../../../src/recovery/policy/policies.js';
import { failureRate, isFine, ringSteps } from '../../../src/recovery/policy/ring-rules.js';
import { watchRings, type RingTurn } from '../../../src/recovery/policy/ring-watch.js';
import { openRing, resumeRing } from '../../../src/recovery/policy/rings.js';
import { openStore } from '../../../src/store/open-store.js';
import type { PolicyRing, PolicyRow, SiteStore } from '../../../src/store/site-store.js';
import { send } from '../../store/conformance/commits.js';
import { id, register, siteSeed, T0, type MessageSpec } from '../../store/world.js';
import { tempFolder } from '../../support/temp.js';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const log = pino({ level: 'silent' });
const anna = (atMs: number) => ({ by: 'anna', atMs });

const ring = (change: Partial<PolicyRing> = {}): PolicyRing => ({
  ...{ position: 1, tag: 'a', state: 'OPEN', opens: 'AFTER_PREVIOUS', failureLimit: 20, soakMinutes: 60 },
  ...{ rotationsPerHour: 10, openedAtMs: T0, pausedAtMs: null, pauseReason: '' },
  ...change,
});
const counts = (machines: number, heard: number, failed: number, position = 1) => ({
  ...{ policyId: siteSeed().policy.policyId, position, machines, heard, failed },
});
const policyOf = (...rings: PolicyRing[]): PolicyRow => ({ ...siteSeed().policy, rings });

describe('the rules', () => {
  test.each([
    [counts(5000, 5000, 115), 23],
    [counts(5000, 1000, 20), 20],
    // The first machines of many: of fifty.
    [counts(5000, 3, 1), 20],
    [counts(5000, 3, 2), 40],
    // A small ring: of all of it.
    [counts(4, 4, 1), 250],
    [counts(0, 0, 0), 0],
  ])('failure rate of %j is %i', (one, rate) => expect(failureRate(one)).toBe(rate));

  test('a ring is fine after its soak time, with four of five heard from', () => {
    const at = T0 + HOUR;
    expect(isFine(ring(), counts(10, 8, 0), at)).toBe(true);
    expect(isFine(ring(), counts(10, 7, 0), at)).toBe(false);
    expect(isFine(ring(), counts(10, 8, 0), at - 1)).toBe(false);
    expect(isFine(ring(), counts(100, 100, 3), at)).toBe(false);
    expect(isFine(ring({ state: 'PAUSED' }), counts(10, 10, 0), at)).toBe(false);
  });

  test('pauses come before openings, and nothing opens behind a paused ring', () => {
    const [one, two] = [ring(), ring({ position: 2, tag: 'b', state: 'CLOSED', openedAtMs: null })];
    const at = T0 + HOUR;
    expect(ringSteps(policyOf(one, two), [counts(10, 10, 0)], at)).toEqual([{ do: 'open', position: 2 }]);
    expect(ringSteps(policyOf(one, two), [counts(100, 100, 3)], at)).toEqual([
      { do: 'pause', position: 1, reason: expect.stringContaining('3 % failed (limit 2 %)') },
    ]);
    expect(ringSteps(policyOf({ ...one, state: 'PAUSED' }, two), [counts(10, 10, 0)], at)).toEqual([]);
    expect(ringSteps(policyOf(one, { ...two, opens: 'BY_HAND' }), [counts(10, 10, 0)], at)).toEqual([]);
    expect(ringSteps({ ...policyOf(one, two), state: 'DRAFT' }, [counts(10, 10, 0)], at)).toEqual([]);
    // The first ring, where it opens by itself, opens at once.
    expect(ringSteps(policyOf({ ...one, state: 'CLOSED' }, two), [], at)).toEqual([
      { do: 'open', position: 1 },
    ]);
  });
});

/** A site with machines that have one key each; `turn` runs the watch at a time. */
async function fleet(tags: Readonly<Record<string, readonly [number, number]>>): Promise<{
  store: SiteStore;
  readonly turn: (atMs: number) => Promise<RingTurn>;
}> {
  const store = await openStore({ kind: 'sqlite', path: join(tempFolder('mpe-rings-'), 'site.db') });
  onTestFinished(() => store.close());
  await store.createSite(siteSeed(10_000));
  for (const [tag, [from, to]] of Object.entries(tags)) {
    const machines = Array.from({ length: to - from + 1 }, (_, n) => from + n);
    await register(store, ...machines);
    for (const n of machines) await store.policy.setClientTag(id('client', n), tag);
    await send(store, machines.map(keyOf));
  }
  return {
    store,
    turn: (atMs) => watchRings({ store, clock: { now: () => atMs }, log, by: 'watch' }),
  };
}
const keyOf = (n: number): MessageSpec => ({
  ...{ client: n, message: n, sequence: 1 },
  volumes: [{ volume: n, protectors: [{ key: n, password: `password ${n}` }] }],
});
const hear = (store: SiteStore, from: number, to: number, atMs: number, failing = 0): Promise<unknown> =>
  send(
    store,
    Array.from({ length: to - from + 1 }, (_, n) => ({
      ...{ client: from + n, message: 10_000 + from + n, sequence: 2 },
      state: n < failing ? { lastError: { code: 1n, text: 'failed', atMs: 0 } } : {},
    })),
    { atMs },
  );
const open = async (store: SiteStore): Promise<number> =>
  (await store.rotation.page({ open: true }, null, 1000)).length;
const RINGS = [
  { tag: 'pilot', rotationsPerHour: 120, soakMinutes: 60 },
  { tag: 'wide', rotationsPerHour: 120, soakMinutes: 60, opens: 'AFTER_PREVIOUS' as const },
];

describe('the watch over a few hundred machines', () => {
  test('rotates ring by ring, no more an hour than allowed, and stops where too many fail', async () => {
    const { store, turn } = await fleet({ pilot: [1, 20], wide: [21, 300] });
    const { policyId } = await createPolicy(
      store,
      { name: 'Migration', mode: 'MANAGE', mbamMigration: true, rings: RINGS },
      anna(T0),
    );
    expect(await turn(T0)).toEqual({ paused: 0, opened: 0, begun: 0 });
    await deployPolicy(store, policyId, anna(T0));
    expect(await turn(T0)).toEqual({ paused: 0, opened: 0, begun: 0 });
    // After the keys that the machines sent: nobody was heard from since.
    await openRing(store, policyId, 1, anna(T0 + 1));

    // Two a minute; the pilot's twenty are begun in ten, and the wide ring waits.
    for (let minute = 0; minute < 12; minute += 1) await turn(T0 + minute * MINUTE);
    expect(await open(store)).toBe(20);
    expect(await turn(T0 + 2 * HOUR)).toMatchObject({ opened: 0, begun: 0 });
    await hear(store, 1, 20, T0 + HOUR);
    const at = T0 + 3 * HOUR;
    expect(await turn(at)).toEqual({ paused: 0, opened: 1, begun: 2 });

    // However often the watch turns, an hour begins what an hour may.
    for (let n = 0; n < 100; n += 1) await turn(at + n);
    expect(await open(store)).toBe(20 + 120);
    expect(await turn(at + HOUR - 1)).toMatchObject({ begun: 0 });
    expect(await turn(at + HOUR + MINUTE)).toMatchObject({ begun: 2 });

    // Six of two hundred fail: three per cent.
    await hear(store, 21, 220, at + HOUR + 2 * MINUTE, 6);
    expect(await turn(at + HOUR + 3 * MINUTE)).toEqual({ paused: 1, opened: 0, begun: 0 });
    const paused = (await findPolicy(store, 'Migration')).rings[1];
    expect(paused).toMatchObject({ state: 'PAUSED', pauseReason: expect.stringContaining('3 % failed') });
    expect(await turn(at + 9 * HOUR)).toEqual({ paused: 0, opened: 0, begun: 0 });
    await resumeRing(store, policyId, 2, anna(at + 9 * HOUR));
    expect(await turn(at + 9 * HOUR + 1)).toMatchObject({ paused: 0, begun: 2 });
    expect((await store.policy.events(policyId, 3)).map((one) => `${one.event} ${one.by}`)).toEqual([
      'RING_RESUMED anna',
      'RING_PAUSED watch',
      'RING_OPENED watch',
    ]);
  });

  test('begins nothing beside another manager unless told to, and nothing without the mode', async () => {
    const { store, turn } = await fleet({ pilot: [1, 6] });
    await send(store, [
      { client: 1, message: 901, sequence: 5, state: { otherManagers: ['MBAM'] } },
      { client: 2, message: 902, sequence: 5, state: { otherManagers: ['INTUNE'] } },
    ]);
    const { policyId } = await createPolicy(
      store,
      { name: 'M', mode: 'MANAGE', mbamMigration: true, rings: [{ tag: 'pilot', rotationsPerHour: 6000 }] },
      anna(T0),
    );
    await deployPolicy(store, policyId, anna(T0));
    await openRing(store, policyId, 1, anna(T0));
    expect(await turn(T0)).toMatchObject({ begun: 4 });
    expect(await turn(T0 + 1)).toMatchObject({ begun: 0 });
    const told = await findPolicy(store, 'M');
    await store.policy.save(
      { ...told, rotateBesideOthers: true, revision: told.revision + 1 },
      { event: 'CHANGED', detail: '', by: 'anna', atMs: T0 },
    );
    expect(await turn(T0 + 2)).toMatchObject({ begun: 2 });
  });

  test('of two processes that watch at once, each key is asked for once', async () => {
    const { store, turn } = await fleet({ pilot: [1, 30] });
    const { policyId } = await createPolicy(
      store,
      { name: 'M', mode: 'MANAGE', mbamMigration: true, rings: [{ tag: 'pilot', rotationsPerHour: 6000 }] },
      anna(T0),
    );
    await deployPolicy(store, policyId, anna(T0));
    await openRing(store, policyId, 1, anna(T0));
    await Promise.all([turn(T0), turn(T0), turn(T0)]);
    expect(await open(store)).toBe(30);
  });
});
