import { describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import type { PolicyRow } from '../../src/store/site-store.js';
import { JOIN_TYPES, type JoinType } from '../../src/protocol/vocabulary.js';
import { clientPolicy } from '../../src/workers/client-policy.js';
import { first, gatesFor } from '../../src/workers/gates.js';
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

/** What each version takes, by the original's history: facts of design §7. */
const VERSIONS = ['2002', '2006', '2010', '2103', 'current'] as const;
const CHANNELS = ['INTRANET', 'CMG'] as const;
const KINDS = ['OS', 'FIXED', 'REMOVABLE', 'UNKNOWN', 'PACKAGE', 'TPM'] as const;

/** 2010 over the cloud management gateway: OS and fixed volumes with their packages, directory machines. */
function isTaken(version: string, channel: string, kind: string, joinType: JoinType): boolean {
  if (version === '2103' || version === 'current') return true;
  if (version !== '2010' || channel !== 'CMG') return false;
  if (joinType === 'WORKGROUP' || joinType === 'ENTRA') return false;
  return kind === 'OS' || kind === 'FIXED' || kind === 'PACKAGE';
}

describe('version × channel × kind × join type', () => {
  const table = VERSIONS.flatMap((version) =>
    CHANNELS.flatMap((channel) => KINDS.map((kind) => [version, channel, kind] as const)),
  );
  test('is every combination', () => expect(table).toHaveLength(60));

  test.each(table)('%s over %s: %s', (version, channel, kind) => {
    for (const joinType of JOIN_TYPES) {
      const made = gatesFor({
        policies: [policy()],
        siteVersion: version === 'current' ? '2409' : version,
        ...{ mayStore: true, channel, joinType },
      });
      const reason =
        kind === 'TPM'
          ? made.tpmOwnerAuth
          : kind === 'PACKAGE'
            ? first(made.volume('OS'), made.keyPackage)
            : made.volume(kind);
      expect(reason, joinType).toBe(isTaken(version, channel, kind, joinType) ? 'NONE' : 'VERSION_GATE');
      // Whoever says nothing of a channel came over the intranet.
      const silent = gatesFor({ policies: [policy()], siteVersion: version, mayStore: true, joinType });
      expect(silent.volume('OS')).toBe(
        isTaken(version, 'INTRANET', 'OS', joinType) ? 'NONE' : 'VERSION_GATE',
      );
    }
  });

  test('a policy refuses what the version would take, and the version what the policy would', () => {
    const narrow = policy({ removableDrives: false, tpmOwnerAuth: false, storePackages: false });
    const now = gates([narrow], '2409');
    expect([now.volume('REMOVABLE'), now.tpmOwnerAuth, now.keyPackage]).toEqual([
      'POLICY_REFUSED',
      'POLICY_REFUSED',
      'POLICY_REFUSED',
    ]);
    expect(gates([narrow], '2006').volume('OS')).toBe('VERSION_GATE');
  });
});

describe('the policy as a reply to a check-in tells it', () => {
  test('says what is let in, not what is wished', () => {
    expect(clientPolicy(gates([policy({ mode: 'MANAGE', checkIntervalMinutes: 30 }), policy()]))).toEqual({
      ...{ mode: 'MANAGE', checkIntervalMinutes: 30 },
      ...{ recoveryPasswords: true, keyPackages: true, removableDrives: true, tpmOwnerAuth: true },
    });
    const nothing = {
      ...{ recoveryPasswords: false, keyPackages: false, removableDrives: false, tpmOwnerAuth: false },
    };
    expect(clientPolicy(gates([policy({ mode: 'OBSERVE' })]))).toMatchObject({ mode: 'OBSERVE', ...nothing });
    expect(clientPolicy(gates([policy()], '2409', false))).toMatchObject({ mode: 'ESCROW', ...nothing });
    expect(clientPolicy(gates([policy()], '2010'))).toMatchObject(nothing);
    expect(clientPolicy(gates([]))).toBeNull();
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
