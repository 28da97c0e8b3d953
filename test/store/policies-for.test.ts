import { describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { mayRotate, rotationRefusal } from '../../src/store/may-rotate.js';
import { effectivePolicy, policiesFor } from '../../src/store/policies-for.js';
import type { PolicyRing, PolicyRow } from '../../src/store/site-store.js';
import { siteSeed } from './world.js';

const policy = (change: Partial<PolicyRow> = {}): PolicyRow => ({
  ...siteSeed().policy,
  policyId: newGuid(),
  ...change,
});
const ring = (tag: string, state: PolicyRing['state']): PolicyRing => ({
  ...{ position: 1, tag, state, opens: 'BY_HAND', failureLimit: 20, soakMinutes: 0, rotationsPerHour: 1 },
  ...{
    openedAtMs: state === 'CLOSED' ? null : 1,
    pausedAtMs: state === 'PAUSED' ? 2 : null,
    pauseReason: '',
  },
});
const names = (policies: readonly PolicyRow[], tag: string): string[] =>
  policiesFor(policies, { tag }).map((one) => one.name);

describe('the policies of a client', () => {
  test('are deployed, and for all or for its tag', () => {
    const all = [
      policy({ name: 'all' }),
      policy({ name: 'north', targetTag: 'north' }),
      policy({ name: 'draft', state: 'DRAFT' }),
      policy({ name: 'gone', state: 'RETIRED', targetTag: 'north' }),
    ];
    expect(names(all, 'north')).toEqual(['all', 'north']);
    expect(names(all, 'NORTH')).toEqual(['all']);
    expect(names(all, '')).toEqual(['all']);
  });

  test('with rings reach the tags of those that are not closed, and nobody else', () => {
    const ringed = policy({
      name: 'ringed',
      rings: [ring('pilot', 'OPEN'), ring('second', 'PAUSED'), ring('third', 'CLOSED')],
    });
    expect(['pilot', 'second', 'third', ''].map((tag) => names([ringed], tag).length)).toEqual([1, 1, 0, 0]);
  });

  test('come together: the strongest mode, the shortest interval, what any escrowing one takes', () => {
    const watcher = policy({ mode: 'OBSERVE', checkIntervalMinutes: 10 });
    const narrow = policy({ removableDrives: false, tpmOwnerAuth: false, checkIntervalMinutes: 120 });
    expect(effectivePolicy([watcher, narrow], { tag: '' })).toMatchObject({
      ...{ mode: 'ESCROW', checkIntervalMinutes: 10, storePackages: true },
      ...{ removableDrives: false, tpmOwnerAuth: false },
    });
    expect(effectivePolicy([watcher], { tag: '' })).toMatchObject({ mode: 'OBSERVE', storePackages: false });
    expect(effectivePolicy([], { tag: '' })).toBeNull();
  });
});

describe('may a client be told to rotate', () => {
  const of = (change: Partial<PolicyRow>, tag = ''): ReturnType<typeof effectivePolicy> =>
    effectivePolicy([policy(change)], { tag });

  test.each([
    ['no policy', null, [], 'DISCLOSURE', 'NO_POLICY'],
    ['observe', of({ mode: 'OBSERVE' }), [], 'DISCLOSURE', 'OBSERVES'],
    ['escrow, a shown key', of({}), [], 'DISCLOSURE', null],
    ['escrow, an operator', of({}), [], 'OPERATOR', null],
    ['escrow, by itself', of({}), [], 'POLICY', 'NOT_MANAGED'],
    ['escrow, migration', of({}), [], 'MIGRATION', 'NOT_MANAGED'],
    ['manage, by itself', of({ mode: 'MANAGE' }), [], 'POLICY', null],
    ['manage beside MBAM', of({ mode: 'MANAGE' }), ['MBAM'], 'DISCLOSURE', 'OTHER_MANAGER'],
    ['manage beside a group policy', of({ mode: 'MANAGE' }), ['GROUP_POLICY'], 'INCIDENT', 'OTHER_MANAGER'],
    ['manage beside Intune', of({ mode: 'MANAGE' }), ['INTUNE'], 'MIGRATION', 'OTHER_MANAGER'],
    ['escrow beside MBAM', of({}), ['MBAM'], 'DISCLOSURE', 'OTHER_MANAGER'],
    ['told to', of({ mode: 'MANAGE', rotateBesideOthers: true }), ['MBAM', 'INTUNE'], 'MIGRATION', null],
    [
      'paused, by itself',
      of({ mode: 'MANAGE', rings: [ring('a', 'PAUSED')] }, 'a'),
      [],
      'MIGRATION',
      'PAUSED',
    ],
    [
      'paused, a shown key',
      of({ mode: 'MANAGE', rings: [ring('a', 'PAUSED')] }, 'a'),
      [],
      'DISCLOSURE',
      null,
    ],
  ] as const)('%s', (_, effective, others, origin, refusal) => {
    expect(rotationRefusal(effective, others, origin)).toBe(refusal);
    expect(mayRotate(effective, others, origin)).toBe(refusal === null);
  });
});
