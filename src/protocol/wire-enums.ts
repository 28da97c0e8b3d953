import type { mpe } from './generated/mpe.js';
import type {
  BodyType,
  Disposition,
  ItemReason,
  ItemStatus,
  JoinType,
  OtherManager,
  PolicyMode,
  ProtectionState,
  Reason,
  RegistrationReason,
  RegistrationStatus,
  Retry,
  RotationOutcome,
  VolumeType,
} from './vocabulary.js';

/**
 * The words of the contract and their numbers on the wire (proto/mpe/v1). A test holds every table
 * against the generated module, so a word without a number, or the other way round, cannot land.
 */

/** One enum: words to numbers and back. */
export interface WireEnum<W extends string, E extends number = number> {
  /** The number of a word. */
  number(word: W): E;
  /** The word of a number; undefined for a number that this release does not know. */
  word(number: number): W | undefined;
  /** All words with their numbers. */
  readonly table: Readonly<Record<W, number>>;
}

function wireEnum<W extends string, E extends number>(table: Readonly<Record<W, number>>): WireEnum<W, E> {
  const words = new Map((Object.entries(table) as [W, number][]).map(([word, number]) => [number, word]));
  return { table, number: (word) => table[word] as E, word: (number) => words.get(number) };
}

/** Proto BodyType; 0 is no word: a message with it is malformed. */
export const bodyTypeWire = wireEnum<BodyType, mpe.v1.BodyType>({
  ESCROW_RECOVERY_KEYS: 1,
  ESCROW_TPM_OWNER_AUTH: 2,
  ROTATION_RESULT: 3,
  CHECK_IN: 4,
});

/** Proto VolumeType, numbered as MBAM and Configuration Manager number volume types. */
export const volumeTypeWire = wireEnum<VolumeType, mpe.v1.VolumeType>({
  UNKNOWN: 0,
  OS: 1,
  FIXED: 2,
  REMOVABLE: 3,
});

/** Proto ProtectionState. */
export const protectionStateWire = wireEnum<ProtectionState, mpe.v1.ProtectionState>({
  UNREPORTED: 0,
  OFF: 1,
  ON: 2,
  UNKNOWN: 3,
});

/** Proto Disposition. */
export const dispositionWire = wireEnum<Disposition, mpe.v1.Disposition>({
  QUEUED: 1,
  COMMITTED: 2,
  ALREADY_COMMITTED: 3,
  PARTIAL: 4,
  REJECTED: 5,
  QUARANTINED: 6,
});

/** Proto Retry. */
export const retryWire = wireEnum<Retry, mpe.v1.Retry>({
  NONE: 0,
  NEVER: 1,
  SAME_MESSAGE_LATER: 2,
  NEW_MESSAGE: 3,
});

/** Proto Reason. */
export const reasonWire = wireEnum<Reason, mpe.v1.Reason>({
  NONE: 0,
  ITEMS_REJECTED: 1,
  ALL_ITEMS_REJECTED: 2,
  CANNOT_OPEN: 3,
  MALFORMED: 4,
  MESSAGE_ID_REUSED: 5,
  DEAD_LETTERED: 6,
  CLIENT_BLOCKED: 7,
  ROTATION_REQUEST_UNKNOWN: 8,
  POLICY_REFUSED: 9,
  QUARANTINE_FULL: 10,
  SEALING_KEY_UNKNOWN: 11,
  CLIENT_UNKNOWN: 12,
  SIGNING_KEY_UNKNOWN: 13,
  BODY_TYPE_UNKNOWN: 14,
});

/** Proto ItemStatus. */
export const itemStatusWire = wireEnum<ItemStatus, mpe.v1.ItemStatus>({
  COMMITTED: 1,
  REJECTED: 2,
  SECRET_REQUIRED: 3,
});

/** Proto ItemReason. */
export const itemReasonWire = wireEnum<ItemReason, mpe.v1.ItemReason>({
  NONE: 0,
  RECOVERY_PASSWORD_INVALID: 1,
  KEY_ID_INVALID: 2,
  KEY_ID_DUPLICATE: 3,
  VOLUME_ID_INVALID: 4,
  VOLUME_DUPLICATE: 5,
  VOLUME_TYPE_UNKNOWN: 6,
  KEY_PACKAGE_EMPTY: 7,
  KEY_PACKAGE_TOO_LARGE: 8,
  KEY_PACKAGE_WITHOUT_PASSWORD: 9,
  TPM_OWNER_AUTH_INVALID: 10,
  POLICY_REFUSED: 11,
  VERSION_GATE: 12,
  NO_CERTIFICATE: 13,
  TEXT_INVALID: 14,
});

/** Proto RotationResult.Outcome. */
export const rotationOutcomeWire = wireEnum<RotationOutcome, mpe.v1.RotationResult.Outcome>({
  ADDED: 1,
  REMOVED: 2,
  FAILED: 3,
  VOLUME_ABSENT: 4,
});

/** Proto OtherManager. */
export const otherManagerWire = wireEnum<OtherManager, mpe.v1.OtherManager>({
  MBAM: 1,
  GROUP_POLICY: 2,
  INTUNE: 3,
});

/** Proto PolicyMode. */
export const policyModeWire = wireEnum<PolicyMode, mpe.v1.PolicyMode>({
  OBSERVE: 1,
  ESCROW: 2,
  MANAGE: 3,
});

/** Proto JoinType. */
export const joinTypeWire = wireEnum<JoinType, mpe.v1.JoinType>({
  UNSPECIFIED: 0,
  WORKGROUP: 1,
  DOMAIN: 2,
  ENTRA: 3,
  HYBRID: 4,
});

/** Proto RegistrationStatus. */
export const registrationStatusWire = wireEnum<RegistrationStatus, mpe.v1.RegistrationStatus>({
  REGISTERED: 1,
  ALREADY_REGISTERED: 2,
  QUEUED: 3,
  PENDING: 4,
  REFUSED: 5,
});

/** Proto RegistrationReason. */
export const registrationReasonWire = wireEnum<RegistrationReason, mpe.v1.RegistrationReason>({
  NONE: 0,
  PROOF_INVALID: 1,
  TOKEN_REFUSED: 2,
  CLIENT_EXISTS: 3,
  KEY_IN_USE: 4,
  CLIENT_BLOCKED: 5,
  TEMPORARY: 6,
});

/** Proto3 enums are open: a number without a name is a value all the same. */
function open<E extends number>(number: number): E {
  return number as E;
}

/** The number of a body type that is a word, or already a number newer than this release. */
export function bodyTypeNumber(type: BodyType | number): mpe.v1.BodyType {
  return typeof type === 'number' ? open<mpe.v1.BodyType>(type) : bodyTypeWire.number(type);
}

/** The word of a body type's number, or the number itself where this release has no word. */
export function bodyTypeWord(number: number): BodyType | number {
  return bodyTypeWire.word(number) ?? number;
}

/** The number of a volume type that is a word, or already a number newer than this release. */
export function volumeTypeNumber(type: VolumeType | number): mpe.v1.VolumeType {
  return typeof type === 'number' ? open<mpe.v1.VolumeType>(type) : volumeTypeWire.number(type);
}

/** The word of a volume type's number, or the number itself where this release has no word. */
export function volumeTypeWord(number: number): VolumeType | number {
  return volumeTypeWire.word(number) ?? number;
}

/** Whether a body type on the wire can be one: 0 is "not set", and no value is negative. */
export function isBodyTypeNumber(number: number): boolean {
  return number > 0;
}
