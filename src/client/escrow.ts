import type { EscrowProtector, EscrowVolume } from '../protocol/client-message.js';
import { guidToBytes, parseGuid, type Guid } from '../protocol/guid.js';
import type { ProtectionState, VolumeType } from '../protocol/vocabulary.js';
import { composeMessage, envelopeSize } from './compose.js';
import type { ClientContext } from './context.js';

/** A numerical-password protector as the caller knows it. */
export interface ProtectorInput {
  /** Any spelling of a GUID. */
  readonly keyId: string;
  /** 48 digits. Left out where the key ID is known committed: it is then only listed. */
  readonly recoveryPassword?: string;
  readonly keyPackage?: Uint8Array;
}

/** A volume with ALL its recovery-password protectors: the list is the volume's current set. */
export interface VolumeInput {
  readonly volumeId: string;
  readonly volumeType: VolumeType;
  readonly driveLabel?: string;
  readonly protection?: ProtectionState;
  readonly protectors: readonly ProtectorInput[];
}

/** Room for the head of a ClientMessage and of its lists. */
const HEAD_BYTES = 300;

/**
 * Makes the messages that escrow these volumes: one, or more where key packages or the number of
 * volumes would break a limit. Each lists all key IDs of its volumes, with the secrets of some.
 *
 * Passwords are not judged here: the site answers for each protector, and refused ones stay held.
 *
 * @returns the message ids, which are on disk by then.
 * @throws MpeError VALUE_INVALID where an id is no GUID, or one package alone is too large.
 */
export async function escrowVolumes(
  context: ClientContext,
  volumes: readonly VolumeInput[],
): Promise<Guid[]> {
  const wire = volumes.map(toWire);
  const ids: Guid[] = [];
  for (const part of spread(wire, context.document.limits)) {
    ids.push(await composeMessage(context, { type: 'ESCROW_RECOVERY_KEYS', volumes: part }));
  }
  return ids;
}

function toWire(volume: VolumeInput): EscrowVolume {
  return {
    volumeId: guidToBytes(parseGuid(volume.volumeId)),
    volumeType: volume.volumeType,
    driveLabel: volume.driveLabel ?? '',
    protection: volume.protection ?? 'UNREPORTED',
    protectors: volume.protectors.map((protector) => ({
      keyId: guidToBytes(parseGuid(protector.keyId)),
      ...(protector.recoveryPassword === undefined ? {} : { recoveryPassword: protector.recoveryPassword }),
      ...(protector.keyPackage === undefined ? {} : { keyPackage: protector.keyPackage }),
    })),
  };
}

/** Which secrets of which volumes go into one message. */
interface Part {
  readonly volumes: Map<EscrowVolume, Set<EscrowProtector>>;
  bytes: number;
}

/** Fills messages one after the other; a message never lists only some key IDs of a volume. */
function spread(
  volumes: readonly EscrowVolume[],
  limits: { readonly envelopeBytes: number; readonly volumesPerMessage: number },
): EscrowVolume[][] {
  const parts: Part[] = [];
  let part: Part = { volumes: new Map(), bytes: HEAD_BYTES };
  const next = (): void => {
    if (part.volumes.size > 0) parts.push(part);
    part = { volumes: new Map(), bytes: HEAD_BYTES };
  };
  for (const volume of volumes) {
    const listBytes = 200 + volume.driveLabel.length * 3 + volume.protectors.length * 30;
    const place = (secretBytes: number): Set<EscrowProtector> => {
      const needed = secretBytes + (part.volumes.has(volume) ? 0 : listBytes);
      const full = !part.volumes.has(volume) && part.volumes.size >= limits.volumesPerMessage;
      if (full || envelopeSize(part.bytes + needed) > limits.envelopeBytes) next();
      const chosen = part.volumes.get(volume);
      part.bytes += secretBytes + (chosen === undefined ? listBytes : 0);
      if (chosen !== undefined) return chosen;
      const fresh = new Set<EscrowProtector>();
      part.volumes.set(volume, fresh);
      return fresh;
    };
    place(0);
    for (const protector of volume.protectors) {
      const secretBytes =
        (protector.recoveryPassword?.length ?? 0) + (protector.keyPackage?.length ?? 0) + 12;
      if (secretBytes > 12) place(secretBytes).add(protector);
    }
  }
  next();
  return parts.map((one) =>
    [...one.volumes].map(([volume, secrets]) => ({
      ...volume,
      protectors: volume.protectors.map((protector) =>
        secrets.has(protector) ? protector : { keyId: protector.keyId },
      ),
    })),
  );
}
