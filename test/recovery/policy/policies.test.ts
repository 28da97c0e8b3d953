import { describe, expect, onTestFinished, test } from 'vitest';
import { join } from 'node:path';
import { openStore } from '../../../src/store/open-store.js';
import {
  changePolicy,
  createPolicy,
  deployPolicy,
  findPolicy,
  retirePolicy,
  type PolicyActor,
} from '../../../src/recovery/policy/policies.js';
import { openRing, pauseRing, resumeRing } from '../../../src/recovery/policy/rings.js';
import { POLICY_DEFAULTS, policySettings, policyWarnings } from '../../../src/recovery/policy/settings.js';
import { managementPointStates, serviceRefusal } from '../../../src/recovery/policy/service-of.js';
import type { PolicyRow, SiteStore } from '../../../src/store/site-store.js';
import { siteSeed, T0 } from '../../store/world.js';
import { tempFolder } from '../../support/temp.js';

const anna = { by: 'anna', atMs: T0 };

async function site(): Promise<SiteStore> {
  const store = await openStore({ kind: 'sqlite', path: join(tempFolder('mpe-policy-'), 'site.db') });
  onTestFinished(() => store.close());
  await store.createSite(siteSeed());
  return store;
}
const states = (policy: PolicyRow): string[] => policy.rings.map((ring) => ring.state);

describe('settings', () => {
  test.each([
    [{ checkIntervalMinutes: 0 }, /checkIntervalMinutes/],
    [{ checkIntervalMinutes: 2881 }, /checkIntervalMinutes/],
    [{ mode: 'DESTROY' }, /mode/],
    [{ name: ' ' }, /name/],
    [{ targetTag: 'a b' }, /targetTag/],
    [{ colour: 'red' }, /colour/],
    [{ rings: [{ tag: 'a' }, { tag: 'a' }] }, /a is in two rings/],
    [{ rings: [{ tag: 'a' }], targetTag: 'b' }, /a policy with rings/],
    [{ mbamMigration: true }, /MANAGE/],
    [{ mbamMigration: true, mode: 'MANAGE' }, /needs rings/],
    [
      { rings: [{ tag: 'a', failureLimit: 1001 }] },
      /ring 1, failureLimit: must be a whole number from 0 to 1000/,
    ],
  ])('refuse %j', (change, text) => {
    expect(() => policySettings({ ...POLICY_DEFAULTS, name: 'P', ...change })).toThrow(text);
  });

  test('name every problem at once, and warn of what is allowed', () => {
    expect(() => policySettings({ ...POLICY_DEFAULTS, name: '', mode: 'X' })).toThrow(/name[^]*mode/);
    const short = { ...POLICY_DEFAULTS, name: 'P', checkIntervalMinutes: 59, rotateBesideOthers: true };
    expect(policyWarnings(policySettings(short))).toHaveLength(2);
    expect(
      policyWarnings(policySettings({ ...short, checkIntervalMinutes: 60, rotateBesideOthers: false })),
    ).toEqual([]);
  });
});

describe('the life of a policy', () => {
  test('a draft is deployed once, changed, and retired for good', async () => {
    const store = await site();
    const made = await createPolicy(store, { name: 'North', targetTag: 'north' }, anna);
    expect(made).toMatchObject({ state: 'DRAFT', mode: 'ESCROW', checkIntervalMinutes: 90, revision: 1 });
    const changed = await changePolicy(store, made.policyId, { mode: 'MANAGE' }, anna);
    expect(changed).toMatchObject({ mode: 'MANAGE', targetTag: 'north', revision: 2 });
    const deployed = await deployPolicy(store, made.policyId, { by: 'bert', atMs: T0 + 1 });
    expect(deployed).toMatchObject({ state: 'DEPLOYED', deployedAtMs: T0 + 1, revision: 3 });
    expect(await deployPolicy(store, made.policyId, anna)).toEqual(deployed);
    expect(await retirePolicy(store, made.policyId, anna)).toMatchObject({ state: 'RETIRED', revision: 4 });
    await expect(changePolicy(store, made.policyId, { mode: 'ESCROW' }, anna)).rejects.toThrow(/retired/);
    await expect(deployPolicy(store, made.policyId, anna)).rejects.toThrow(/retired/);
    const events = await store.policy.events(made.policyId, 10);
    expect(events.map(({ event, by }) => `${event} ${by}`)).toEqual([
      'RETIRED anna',
      'DEPLOYED bert',
      'CHANGED anna',
      'CREATED anna',
    ]);
  });

  test('a living name is taken; a policy is found by name or id', async () => {
    const store = await site();
    const made = await createPolicy(store, { name: 'North' }, anna);
    await expect(createPolicy(store, { name: 'NORTH' }, anna)).rejects.toThrow(/is there already/);
    expect((await findPolicy(store, 'north')).policyId).toBe(made.policyId);
    expect((await findPolicy(store, `{${made.policyId.toUpperCase()}}`)).policyId).toBe(made.policyId);
    await expect(findPolicy(store, 'South')).rejects.toThrow(/mpe policy list/);
    await retirePolicy(store, made.policyId, anna);
    const second = await createPolicy(store, { name: 'north' }, anna);
    expect((await findPolicy(store, 'North')).policyId).toBe(second.policyId);
  });

  test('changes at once all take effect, one after the other', async () => {
    const store = await site();
    const { policyId } = await createPolicy(store, { name: 'P' }, anna);
    await Promise.all([
      changePolicy(store, policyId, { mode: 'MANAGE' }, anna),
      changePolicy(store, policyId, { checkIntervalMinutes: 120 }, anna),
      deployPolicy(store, policyId, anna),
    ]);
    expect(await findPolicy(store, 'P')).toMatchObject({
      ...{ mode: 'MANAGE', checkIntervalMinutes: 120, state: 'DEPLOYED', revision: 4 },
    });
  });

  test('each change is recorded before it is made, and once more where another one was first', async () => {
    const store = await site();
    const told: string[] = [];
    const nothing = (): Promise<unknown> => Promise.resolve();
    let meanwhile = nothing;
    const actor: PolicyActor = {
      ...anna,
      record: async ({ event, policy }, result) => {
        const row = (await store.readPolicies()).find((one) => one.policyId === policy.policyId);
        told.push(`${event} ${policy.revision} ${result}, is at ${row?.revision ?? 0}`);
        const other = meanwhile;
        meanwhile = nothing;
        await other();
      },
    };
    const { policyId } = await createPolicy(store, { name: 'P' }, actor);
    meanwhile = () => changePolicy(store, policyId, { checkIntervalMinutes: 120 }, anna);
    await changePolicy(store, policyId, { mode: 'MANAGE' }, actor);
    meanwhile = () => changePolicy(store, policyId, { checkIntervalMinutes: 150 }, anna);
    await expect(deployPolicy(store, policyId, { ...actor, revision: 3 })).rejects.toMatchObject({
      code: 'POLICY_CHANGED',
    });
    expect(told).toEqual([
      'CREATED 1 Successful, is at 0',
      ...['CHANGED 2 Successful, is at 1', 'CHANGED 2 Failed, is at 2', 'CHANGED 3 Successful, is at 2'],
      ...['DEPLOYED 4 Successful, is at 3', 'DEPLOYED 4 Failed, is at 4'],
    ]);
    expect(await findPolicy(store, 'P')).toMatchObject({ state: 'DRAFT', checkIntervalMinutes: 150 });
  });
});

describe('rings by hand', () => {
  test('open in their order, not before the policy is deployed, and not behind a paused one', async () => {
    const store = await site();
    const rings = ['a', 'b', 'c'].map((tag) => ({ tag }));
    const { policyId } = await createPolicy(store, { name: 'P', rings }, anna);
    await expect(openRing(store, policyId, 1, anna)).rejects.toThrow(/not deployed/);
    await deployPolicy(store, policyId, anna);
    await expect(openRing(store, policyId, 2, anna)).rejects.toThrow(/ring 1 \(a\) before it is closed/);
    await expect(openRing(store, policyId, 4, anna)).rejects.toThrow(/rings 1 to 3/);
    expect(states(await openRing(store, policyId, 1, anna))).toEqual(['OPEN', 'CLOSED', 'CLOSED']);
    await openRing(store, policyId, 2, anna);
    expect(states(await pauseRing(store, policyId, 1, 'look', anna))).toEqual(['PAUSED', 'OPEN', 'CLOSED']);
    await expect(openRing(store, policyId, 3, anna)).rejects.toThrow(/ring 1 \(a\) before it is paused/);
    await expect(openRing(store, policyId, 1, anna)).rejects.toThrow(/resume it/);
    const resumed = await resumeRing(store, policyId, 1, { by: 'anna', atMs: T0 + 7 });
    expect(resumed.rings[0]).toMatchObject({ state: 'OPEN', openedAtMs: T0 + 7, pauseReason: '' });
    // Settings of rings change, their state stays with their tag.
    const moved = await changePolicy(
      store,
      policyId,
      { rings: [{ tag: 'b', failureLimit: 50 }, { tag: 'a' }] },
      anna,
    );
    expect(moved.rings.map((ring) => `${ring.position} ${ring.tag} ${ring.state}`)).toEqual([
      '1 b OPEN',
      '2 a OPEN',
    ]);
  });
});

describe('management points get the recovery service', () => {
  const deployed: PolicyRow = siteSeed().policy;
  const facts = {
    policies: [deployed],
    siteVersion: '2403',
    document: { certificateThumbprint: 'x' as string | null, plaintextConsent: false },
  };
  test.each([
    ['HTTPS', {}, null],
    ['ENHANCED_HTTP', {}, null],
    ['HTTP', {}, 'CHANNEL'],
    ['HTTPS', { policies: [] }, 'NO_POLICY'],
    ['HTTPS', { policies: [{ ...deployed, state: 'DRAFT' }] }, 'NO_POLICY'],
    ['HTTPS', { policies: [{ ...deployed, mode: 'OBSERVE' }] }, 'OBSERVES'],
    ['HTTPS', { document: { certificateThumbprint: null, plaintextConsent: false } }, 'NO_CERTIFICATE'],
    ['HTTPS', { document: { certificateThumbprint: null, plaintextConsent: true } }, null],
    ['HTTPS', { siteVersion: '2006' }, 'VERSION_GATE'],
    ['ENHANCED_HTTP', { siteVersion: '2010' }, 'VERSION_GATE'],
    ['HTTPS', { siteVersion: '2010' }, null],
    ['ENHANCED_HTTP', { siteVersion: '2103' }, null],
  ] as const)('%s with %j: %s', (channel, change, refusal) => {
    const all = { ...facts, ...change } as typeof facts;
    expect(serviceRefusal(channel, all)).toBe(refusal);
    const row = { id: 'mp1', channel, address: 'x', firstSeenAtMs: T0, lastSeenAtMs: T0 };
    const [state] = managementPointStates([row], all, T0 + 3_600_000);
    expect(state).toMatchObject({ service: refusal === null, gone: true });
    expect(state?.detail === '').toBe(refusal === null);
  });
});
