import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { ReplyStatement } from '../../src/protocol/client-message.js';
import { SiteContext } from '../../src/workers/site-context.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import type { PolicyRow } from '../../src/store/site-store.js';
import { checkIn, escrow, password, statementOf, TestSite, volume, type TestClient } from './support.js';
import type { Body } from '../../src/protocol/client-message.js';

let site: TestSite;
let pipeline: Pipeline;
beforeAll(async () => {
  site = await TestSite.create({
    seed: (seed) => ({ ...seed, policy: { ...seed.policy, targetTag: 'north' } }),
  });
  pipeline = await site.pipeline();
  expect(pipeline.site).toBeInstanceOf(SiteContext);
});
afterAll(() => site.store.close());

async function answer(client: TestClient, body: Body): Promise<ReplyStatement> {
  const sent = await client.message(body);
  const { reply } = await pipeline.processMessage(sent.job, { alone: false });
  return statementOf(sent, reply);
}
async function tagged(tag: string): Promise<TestClient> {
  const client = await site.client();
  expect(await site.store.policy.setClientTag(client.clientId, tag)).toBe(true);
  return client;
}
/** Changes the one policy and lets the worker read it, as its housekeeping does. */
async function policy(change: Partial<PolicyRow>): Promise<void> {
  const [now] = await site.store.readPolicies();
  const next = { ...now!, ...change, revision: now!.revision + 1 };
  expect(await site.store.policy.save(next, { event: 'CHANGED', detail: '', by: 'test', atMs: 1 })).toBe(
    true,
  );
  await pipeline.site.reload();
}
const verdict = (statement: ReplyStatement): string => `${statement.disposition} ${statement.reason}`;

describe('policies by tag', () => {
  test('a client of the tag is served and told its policy; another one is refused, and told nothing', async () => {
    await policy({ state: 'DEPLOYED', rings: [], mode: 'ESCROW', checkIntervalMinutes: 45 });
    const [north, south] = [await tagged('north'), await tagged('south')];
    const told = await answer(north, checkIn());
    expect(verdict(told)).toBe('COMMITTED NONE');
    expect(told.policy).toEqual({
      ...{ mode: 'ESCROW', checkIntervalMinutes: 45, recoveryPasswords: true, keyPackages: true },
      ...{ removableDrives: true, tpmOwnerAuth: true },
    });
    const escrowed = await answer(north, escrow(volume([{ password: password(1) }])));
    expect(verdict(escrowed)).toBe('COMMITTED NONE');
    expect(escrowed.policy).toBeUndefined();
    const refused = await answer(south, checkIn());
    expect([verdict(refused), refused.policy]).toEqual(['REJECTED POLICY_REFUSED', undefined]);
    expect(verdict(await answer(south, escrow(volume([{ password: password(2) }]))))).toBe(
      'REJECTED POLICY_REFUSED',
    );
    // With another tag the same client is served at once.
    await site.store.policy.setClientTag(south.clientId, 'north');
    expect((await answer(south, checkIn())).policy?.mode).toBe('ESCROW');
  });

  test('a draft and a retired policy apply to nobody; a ring does when it opens, and while it is paused', async () => {
    const pilot = await tagged('pilot');
    const ring = {
      ...{ position: 1, tag: 'pilot', opens: 'BY_HAND' as const, failureLimit: 20, soakMinutes: 0 },
      ...{ rotationsPerHour: 1, pauseReason: '' },
    };
    const closed = { ...ring, state: 'CLOSED' as const, openedAtMs: null, pausedAtMs: null };
    for (const [change, mode] of [
      [{ state: 'DRAFT', targetTag: null }, undefined],
      [{ state: 'DEPLOYED', targetTag: null, rings: [closed] }, undefined],
      [{ rings: [{ ...closed, state: 'OPEN', openedAtMs: 1 }] }, 'ESCROW'],
      [{ rings: [{ ...closed, state: 'PAUSED', openedAtMs: 1, pausedAtMs: 2 }] }, 'ESCROW'],
      [{ state: 'RETIRED' }, undefined],
    ] as const) {
      await policy(change);
      expect((await answer(pilot, checkIn())).policy?.mode).toBe(mode);
    }
  });
});

describe('commands', () => {
  test('ESCROW never asks for what the policy refuses', async () => {
    await policy({
      state: 'DEPLOYED',
      targetTag: null,
      rings: [],
      removableDrives: false,
      tpmOwnerAuth: false,
    });
    const client = await site.client();
    const [os, stick] = [newGuid(), newGuid()];
    const asked = async (): Promise<Guid[]> =>
      (
        await answer(
          client,
          checkIn([
            { volumeId: os, keyIds: [newGuid()] },
            { volumeId: stick, keyIds: [newGuid()], type: 'REMOVABLE' },
          ]),
        )
      ).commands.map((command) => command.volumeId);
    expect(await asked()).toEqual([os]);
    await policy({ mode: 'OBSERVE' });
    expect(await asked()).toEqual([]);
    await policy({ mode: 'ESCROW', removableDrives: true });
    expect(new Set(await asked())).toEqual(new Set([os, stick]));
  });

  test('no ROTATE_KEY while the client reports another manager, unless the policy says so', async () => {
    await policy({
      state: 'DEPLOYED',
      targetTag: null,
      rings: [],
      mode: 'MANAGE',
      rotateBesideOthers: false,
    });
    const client = await site.client();
    const [volumeId, keyId] = [newGuid(), newGuid()];
    await answer(client, escrow(volume([{ keyId, password: password(3) }], { volumeId })));
    await site.store.rotation.open([
      {
        ...{ requestId: newGuid(), exposureId: newGuid(), volumeId, keyId, origin: 'OPERATOR' },
        ...{ requestedBy: 'anna', deadlineMs: Date.now() + 1e6, notBeforeMs: 0, atMs: Date.now() },
        evenAbsent: false,
      },
    ]);
    const rotates = async (others: readonly ('MBAM' | 'GROUP_POLICY' | 'INTUNE')[]): Promise<boolean> => {
      const report = checkIn([{ volumeId, keyIds: [keyId] }], { otherManagers: others });
      return (await answer(client, report)).commands.some((command) => command.type === 'ROTATE_KEY');
    };
    expect(await rotates([])).toBe(true);
    for (const other of ['MBAM', 'GROUP_POLICY', 'INTUNE'] as const)
      expect(await rotates([other])).toBe(false);
    // Its last check-in counts for the replies to everything else.
    const other = await answer(client, escrow(volume([{ password: password(4) }], { type: 'FIXED' })));
    expect(other.commands.filter((command) => command.type === 'ROTATE_KEY')).toEqual([]);
    await policy({ rotateBesideOthers: true });
    expect(await rotates(['MBAM', 'INTUNE'])).toBe(true);
    await policy({ mode: 'OBSERVE' });
    expect(await rotates([])).toBe(false);
  });
});
