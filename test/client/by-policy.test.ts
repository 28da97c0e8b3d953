import { describe, expect, test } from 'vitest';
import { byPolicy } from '../../src/client/by-policy.js';
import type { VolumeInput } from '../../src/client/index.js';

const POLICY = {
  mode: 'ESCROW',
  checkIntervalMinutes: 90,
  recoveryPasswords: true,
  keyPackages: true,
  removableDrives: true,
  tpmOwnerAuth: true,
} as const;
const protector = { keyId: 'k', recoveryPassword: 'p', keyPackage: Buffer.of(1) };
const volumes: readonly VolumeInput[] = [
  { volumeId: 'os', volumeType: 'OS', protectors: [protector, { keyId: 'known' }] },
  { volumeId: 'stick', volumeType: 'REMOVABLE', protectors: [protector] },
];
const sent = (policy: Parameters<typeof byPolicy>[0]): unknown => {
  const cut = byPolicy(policy, volumes);
  const packages = cut.volumes.flatMap((one) => one.protectors).filter((one) => one.keyPackage !== undefined);
  return [cut.volumes.map((one) => one.volumeId), packages.length, cut.heldBack, cut.packages];
};

describe('what a client sends under its policy', () => {
  test.each([
    ['none heard of', null, [['os', 'stick'], 2, 0, 0]],
    ['everything', POLICY, [['os', 'stick'], 2, 0, 0]],
    ['no packages', { ...POLICY, keyPackages: false }, [['os', 'stick'], 0, 0, 2]],
    ['no removable drives', { ...POLICY, removableDrives: false }, [['os'], 1, 1, 0]],
    [
      'observed',
      { ...POLICY, mode: 'OBSERVE', recoveryPasswords: false, keyPackages: false, removableDrives: false },
      [[], 0, 2, 0],
    ],
  ] as const)('%s', (_, policy, expected) => expect(sent(policy)).toEqual(expected));
});
