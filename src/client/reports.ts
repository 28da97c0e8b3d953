import type { Body } from '../protocol/client-message.js';
import { guidToBytes, parseGuid } from '../protocol/guid.js';
import type { OtherManager, ProtectionState, RotationOutcome, VolumeType } from '../protocol/vocabulary.js';

/** A volume without secrets. */
export interface VolumeReportInput {
  readonly volumeId: string;
  readonly volumeType: VolumeType;
  readonly driveLabel?: string;
  readonly protection?: ProtectionState;
  /** All recovery-password protectors. */
  readonly keyIds: readonly string[];
}

/** The machine's state, sent every check interval. */
export interface CheckInInput {
  readonly volumes: readonly VolumeReportInput[];
  readonly machineName: string;
  readonly domain?: string;
  /** Who signed in locally at least once. */
  readonly users?: readonly { readonly domain: string; readonly name: string }[];
  readonly otherManagers?: readonly OtherManager[];
  readonly lastError?: { readonly code: bigint; readonly text: string; readonly atMs: number };
}

/** What became of a RotateKey command. */
export interface RotationInput {
  /** From the command. */
  readonly requestId: string;
  readonly outcome: RotationOutcome;
  readonly errorCode?: bigint;
  readonly errorText?: string;
  readonly newKeyId?: string;
}

/**
 * The body of a check-in.
 *
 * @throws MpeError VALUE_INVALID where an id is no GUID.
 */
export function checkInBody(input: CheckInInput): Body {
  return {
    type: 'CHECK_IN',
    volumes: input.volumes.map((volume) => ({
      volumeId: guidToBytes(parseGuid(volume.volumeId)),
      volumeType: volume.volumeType,
      driveLabel: volume.driveLabel ?? '',
      protection: volume.protection ?? 'UNREPORTED',
      keyIds: volume.keyIds.map((id) => guidToBytes(parseGuid(id))),
    })),
    machineName: input.machineName,
    domain: input.domain ?? '',
    users: input.users ?? [],
    otherManagers: input.otherManagers ?? [],
    ...(input.lastError === undefined ? {} : { lastError: input.lastError }),
  };
}

/**
 * The body of a rotation report.
 *
 * @throws MpeError VALUE_INVALID where an id is no GUID.
 */
export function rotationBody(input: RotationInput): Body {
  return {
    type: 'ROTATION_RESULT',
    requestId: guidToBytes(parseGuid(input.requestId)),
    outcome: input.outcome,
    ...(input.errorCode === undefined ? {} : { errorCode: input.errorCode }),
    ...(input.errorText === undefined ? {} : { errorText: input.errorText }),
    ...(input.newKeyId === undefined ? {} : { newKeyId: guidToBytes(parseGuid(input.newKeyId)) }),
  };
}
