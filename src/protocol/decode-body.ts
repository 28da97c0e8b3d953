import { assertNever } from '../ops/errors.js';
import type { Body, EscrowProtector, EscrowVolume, ReportedVolume } from './client-message.js';
import type { mpe } from './generated/mpe.js';
import { LIMITS, type BodyType } from './vocabulary.js';
import { otherManagerWire, protectionStateWire, rotationOutcomeWire, volumeTypeWord } from './wire-enums.js';
import { malformed, toBigInt, toTimeMs, wordField } from './wire.js';

/**
 * The body of a decoded message, its limits checked, its values raw.
 *
 * @throws MpeError MALFORMED naming the limit or rule that is broken.
 */
export function decodeBody(raw: mpe.v1.ClientMessage, type: BodyType): Body {
  switch (type) {
    case 'ESCROW_RECOVERY_KEYS': {
      const { volumes } = present(raw.escrowRecoveryKeys);
      if (volumes.length === 0) throw malformed('EscrowRecoveryKeys', 'names no volume');
      atMost(volumes, LIMITS.volumesPerMessage, 'volumes');
      return { type, volumes: volumes.map(escrowVolume) };
    }
    case 'ESCROW_TPM_OWNER_AUTH': {
      const { ownerAuth } = present(raw.escrowTpmOwnerAuth);
      return { type, ...(ownerAuth === null ? {} : { ownerAuth }) };
    }
    case 'ROTATION_RESULT': {
      const result = present(raw.rotationResult);
      return {
        type,
        requestId: result.requestId,
        outcome: wordField(rotationOutcomeWire, result.outcome, 'RotationResult.outcome'),
        ...(result.errorCode === null ? {} : { errorCode: toBigInt(result.errorCode) }),
        ...(result.errorText === null ? {} : { errorText: result.errorText }),
        ...(result.newKeyId === null ? {} : { newKeyId: result.newKeyId }),
      };
    }
    case 'CHECK_IN':
      return checkIn(present(raw.checkIn));
    default:
      return assertNever(type);
  }
}

function checkIn(raw: mpe.v1.CheckIn): Body {
  atMost(raw.volumes, LIMITS.volumesPerMessage, 'volumes');
  atMost(raw.users, LIMITS.usersPerCheckIn, 'users');
  // Managers newer than this release are left out: nothing is decided by them.
  const managers = raw.otherManagers.map((number) => otherManagerWire.word(number));
  return {
    type: 'CHECK_IN',
    volumes: raw.volumes.map(reportedVolume),
    machineName: raw.machineName,
    domain: raw.domain,
    users: raw.users.map(({ domain, name }) => ({ domain, name })),
    otherManagers: [...new Set(managers)].filter((word) => word !== undefined),
    ...(raw.lastError === null
      ? {}
      : {
          lastError: {
            code: toBigInt(raw.lastError.code),
            text: raw.lastError.text,
            atMs: toTimeMs(raw.lastError.atUnixMs),
          },
        }),
  };
}

function escrowVolume(raw: mpe.v1.EscrowVolume): EscrowVolume {
  atMost(raw.protectors, LIMITS.protectorsPerVolume, 'protectors of a volume');
  return {
    volumeId: raw.volumeId,
    volumeType: volumeTypeWord(raw.volumeType),
    driveLabel: raw.driveLabel,
    // A state newer than this release counts as not reported: it is shown, nothing is decided by it.
    protection: protectionStateWire.word(raw.protection) ?? 'UNREPORTED',
    protectors: raw.protectors.map(escrowProtector),
  };
}

function escrowProtector(raw: mpe.v1.EscrowProtector): EscrowProtector {
  return {
    keyId: raw.keyId,
    ...(raw.recoveryPassword === null ? {} : { recoveryPassword: raw.recoveryPassword }),
    ...(raw.keyPackage === null ? {} : { keyPackage: raw.keyPackage }),
  };
}

function reportedVolume(raw: mpe.v1.ReportedVolume): ReportedVolume {
  atMost(raw.keyIds, LIMITS.protectorsPerVolume, 'key_ids of a volume');
  return {
    volumeId: raw.volumeId,
    volumeType: volumeTypeWord(raw.volumeType),
    driveLabel: raw.driveLabel,
    protection: protectionStateWire.word(raw.protection) ?? 'UNREPORTED',
    keyIds: raw.keyIds,
  };
}

function atMost(list: readonly unknown[], limit: number, what: string): void {
  if (list.length > limit) {
    throw malformed('limits', `${String(list.length)} ${what}, at most ${String(limit)} are allowed`);
  }
}

function present<T>(body: T | null): T {
  if (body === null) throw malformed('ClientMessage', 'there is no body');
  return body;
}
