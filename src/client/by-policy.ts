import type { VolumeInput } from './escrow.js';
import type { ClientState } from './state.js';

/** What is sent of some volumes, and what is not. */
export interface PolicyCut {
  readonly volumes: readonly VolumeInput[];
  /** Volumes that are not sent at all. */
  readonly heldBack: number;
  /** Packages that are left out of the volumes sent. */
  readonly packages: number;
}

/**
 * What the policy of the last check-in takes of these volumes: what it does not take would be
 * refused, and a secret travels no further than it must. Without a policy everything is sent, for
 * the site decides. What is held back is not safe; the site asks for it when its policy changes.
 */
export function byPolicy(policy: ClientState['policy'], volumes: readonly VolumeInput[]): PolicyCut {
  if (policy === null) return { volumes, heldBack: 0, packages: 0 };
  const taken = volumes.filter((volume) =>
    volume.volumeType === 'REMOVABLE' ? policy.removableDrives : policy.recoveryPasswords,
  );
  const heldBack = volumes.length - taken.length;
  if (policy.keyPackages) return { volumes: taken, heldBack, packages: 0 };
  const packages = taken
    .flatMap((volume) => volume.protectors)
    .filter((protector) => protector.keyPackage !== undefined).length;
  const bare = taken.map((volume) => ({
    ...volume,
    protectors: volume.protectors.map(({ keyId, recoveryPassword }) => ({
      keyId,
      ...(recoveryPassword === undefined ? {} : { recoveryPassword }),
    })),
  }));
  return { volumes: bare, heldBack, packages };
}
