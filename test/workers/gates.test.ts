import { describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import type { PolicyRow } from '../../src/store/site-store.js';
import { gatesFor } from '../../src/workers/gates.js';
import { compareRanks } from '../../src/store/compare-ranks.js';
import { registrationRetry } from '../../src/workers/registration.js';
import { retryOf } from '../../src/protocol/retry-of.js';

const policy = (change: Partial<PolicyRow> = {}): PolicyRow => ({
  policyId: newGuid(),
  name: 'P',
  mode: 'ESCROW',
  targetTag: null,
  storePackages: true,
  removableDrives: true,
  tpmOwnerAuth: true,
  checkIntervalMinutes: 90,
  createdAtMs: 0,
  state: 'DEPLOYED',
  mbamMigration: false,
  rotateBesideOthers: false,
  revision: 1,
  deployedAtMs: 0,
  retiredAtMs: null,
  rings: [],
  ...change,
});
const gates = (
  policies: readonly PolicyRow[],
  siteVersion = '2309',
  mayStore = true,
): ReturnType<typeof gatesFor> => gatesFor({ policies, siteVersion, mayStore });

describe('gates', () => {
  test('neither certificate nor consent: no secret of any kind is taken', () => {
    expect(gates([policy()], '2309', false)).toMatchObject({
      secret: 'NO_CERTIFICATE',
      tpmOwnerAuth: 'NO_CERTIFICATE',
    });
  });

  test('something is taken where any policy takes it, and a policy that observes takes nothing', () => {
    const two = gates([policy({ storePackages: false }), policy({ removableDrives: false })]);
    expect([two.keyPackage, two.volume('REMOVABLE')]).toEqual(['NONE', 'NONE']);
    const watched = gates([policy({ storePackages: false }), policy({ mode: 'OBSERVE' })]);
    expect([watched.keyPackage, watched.observeOnly]).toEqual(['POLICY_REFUSED', false]);
    expect(gates([policy({ mode: 'OBSERVE' })])).toMatchObject({ observeOnly: true, noPolicy: false });
    expect(gates([])).toMatchObject({ observeOnly: true, noPolicy: true });
  });

  test.each([
    ['2006', 'VERSION_GATE'],
    ['2010', 'VERSION_GATE'],
    ['2103', 'NONE'],
    ['2309', 'NONE'],
    ['current', 'NONE'],
  ])('version %s answers %s', (version, reason) => {
    expect(gates([policy()], version).volume('OS')).toBe(reason);
  });
});

describe('ranks', () => {
  test('go by epoch, then sequence beyond 2^53, then digest', () => {
    const rank = (epoch: number, sequence: bigint, digest: number) => ({
      epoch,
      sequence,
      digest: Buffer.of(digest),
    });
    const sorted = [
      rank(1, 1n, 9),
      rank(1, 9007199254740992n, 0),
      rank(1, 9007199254740993n, 0),
      rank(1, 9007199254740993n, 1),
      rank(2, 1n, 0),
    ];
    for (let i = 1; i < sorted.length; i += 1) {
      expect(compareRanks(sorted[i - 1]!, sorted[i]!)).toBeLessThan(0);
      expect(compareRanks(sorted[i]!, sorted[i - 1]!)).toBeGreaterThan(0);
    }
    expect(compareRanks(sorted[0]!, sorted[0]!)).toBe(0);
  });
});

describe('retry rules', () => {
  test('a disposition that needs a reason has none without one', () => {
    expect(() => retryOf('REJECTED', 'NONE')).toThrow(/needs a reason/);
    expect([retryOf('COMMITTED', 'NONE'), retryOf('QUEUED', 'NONE')]).toEqual(['NONE', 'SAME_MESSAGE_LATER']);
  });

  test('registrations', () => {
    expect(registrationRetry('REGISTERED', 'NONE')).toBe('NONE');
    expect(registrationRetry('PENDING', 'NONE')).toBe('SAME_MESSAGE_LATER');
    expect(registrationRetry('REFUSED', 'TEMPORARY')).toBe('SAME_MESSAGE_LATER');
    expect(registrationRetry('REFUSED', 'TOKEN_REFUSED')).toBe('NEVER');
    expect(registrationRetry('REFUSED', 'KEY_IN_USE')).toBe('NEW_MESSAGE');
  });
});
