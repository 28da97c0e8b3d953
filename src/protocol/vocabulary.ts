/**
 * The words of the wire contract as string unions, with the tables that say what they mean.
 * The numbers on the wire are in proto/mpe/v1; `wire-enums.ts` maps between the two and a test
 * holds both lists against each other.
 */

/** See proto BodyType. */
export const BODY_TYPES = [
  'ESCROW_RECOVERY_KEYS',
  'ESCROW_TPM_OWNER_AUTH',
  'ROTATION_RESULT',
  'CHECK_IN',
] as const;
export type BodyType = (typeof BODY_TYPES)[number];

/** See proto VolumeType; UNKNOWN is the proto's UNSPECIFIED. Numbered 0 to 3 in the database. */
export const VOLUME_TYPES = ['UNKNOWN', 'OS', 'FIXED', 'REMOVABLE'] as const;
export type VolumeType = (typeof VOLUME_TYPES)[number];

/** See proto ProtectionState; UNREPORTED is the proto's UNSPECIFIED. Numbered 0 to 3 in the database. */
export const PROTECTION_STATES = ['UNREPORTED', 'OFF', 'ON', 'UNKNOWN'] as const;
export type ProtectionState = (typeof PROTECTION_STATES)[number];

/** What became of a message. */
export const DISPOSITIONS = [
  'QUEUED',
  'COMMITTED',
  'ALREADY_COMMITTED',
  'PARTIAL',
  'REJECTED',
  'QUARANTINED',
] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

/** What a client does next with a message. NONE: its outcome is final. */
export const RETRIES = ['NONE', 'NEVER', 'SAME_MESSAGE_LATER', 'NEW_MESSAGE'] as const;
export type Retry = (typeof RETRIES)[number];

/** Why a message has its disposition. */
export const REASONS = [
  'NONE',
  'ITEMS_REJECTED',
  'ALL_ITEMS_REJECTED',
  'CANNOT_OPEN',
  'MALFORMED',
  'MESSAGE_ID_REUSED',
  'DEAD_LETTERED',
  'CLIENT_BLOCKED',
  'ROTATION_REQUEST_UNKNOWN',
  'POLICY_REFUSED',
  'QUARANTINE_FULL',
  'SEALING_KEY_UNKNOWN',
  'CLIENT_UNKNOWN',
  'SIGNING_KEY_UNKNOWN',
  'BODY_TYPE_UNKNOWN',
] as const;
export type Reason = (typeof REASONS)[number];

/** What became of one item. */
export const ITEM_STATUSES = ['COMMITTED', 'REJECTED', 'SECRET_REQUIRED'] as const;
export type ItemStatus = (typeof ITEM_STATUSES)[number];

/** Why an item was refused. */
export const ITEM_REASONS = [
  'NONE',
  'RECOVERY_PASSWORD_INVALID',
  'KEY_ID_INVALID',
  'KEY_ID_DUPLICATE',
  'VOLUME_ID_INVALID',
  'VOLUME_DUPLICATE',
  'VOLUME_TYPE_UNKNOWN',
  'KEY_PACKAGE_EMPTY',
  'KEY_PACKAGE_TOO_LARGE',
  'KEY_PACKAGE_WITHOUT_PASSWORD',
  'TPM_OWNER_AUTH_INVALID',
  'POLICY_REFUSED',
  'VERSION_GATE',
  'NO_CERTIFICATE',
  'TEXT_INVALID',
] as const;
export type ItemReason = (typeof ITEM_REASONS)[number];

/** How a rotation command ended at the client. */
export const ROTATION_OUTCOMES = ['ADDED', 'REMOVED', 'FAILED', 'VOLUME_ABSENT'] as const;
export type RotationOutcome = (typeof ROTATION_OUTCOMES)[number];

/** Other products that manage BitLocker on a machine. */
export const OTHER_MANAGERS = ['MBAM', 'GROUP_POLICY', 'INTUNE'] as const;
export type OtherManager = (typeof OTHER_MANAGERS)[number];

/** What a BitLocker management policy does, from least to most. */
export const POLICY_MODES = ['OBSERVE', 'ESCROW', 'MANAGE'] as const;
export type PolicyMode = (typeof POLICY_MODES)[number];

/** How a machine is joined. */
export const JOIN_TYPES = ['UNSPECIFIED', 'WORKGROUP', 'DOMAIN', 'ENTRA', 'HYBRID'] as const;
export type JoinType = (typeof JOIN_TYPES)[number];

/** What became of a registration. */
export const REGISTRATION_STATUSES = [
  'REGISTERED',
  'ALREADY_REGISTERED',
  'QUEUED',
  'PENDING',
  'REFUSED',
] as const;
export type RegistrationStatus = (typeof REGISTRATION_STATUSES)[number];

/** Why a registration was refused. */
export const REGISTRATION_REASONS = [
  'NONE',
  'PROOF_INVALID',
  'TOKEN_REFUSED',
  'CLIENT_EXISTS',
  'KEY_IN_USE',
  'CLIENT_BLOCKED',
  'TEMPORARY',
] as const;
export type RegistrationReason = (typeof REGISTRATION_REASONS)[number];

/** Dispositions that a stored outcome can have, lowest first: a re-send may only move one up. */
export const STORED_DISPOSITIONS = ['REJECTED', 'QUARANTINED', 'PARTIAL', 'COMMITTED'] as const;
export type StoredDisposition = (typeof STORED_DISPOSITIONS)[number];

/** The number a stored disposition has in the database; its order is the order of moving up. */
export function storedRank(disposition: StoredDisposition): number {
  return STORED_DISPOSITIONS.indexOf(disposition);
}

/** One row of the table of reasons. */
export interface ReasonRule {
  /** The disposition it comes with. */
  readonly disposition: Disposition;
  /** What the client does. */
  readonly retry: Retry;
  /** What the site keeps of the message: an outcome row, a row of its own kind, or nothing. */
  readonly stored: 'outcome' | 'quarantine' | 'dead letter' | 'nothing';
  /** Whether the reply is sealed: the signature was verified (and, with MALFORMED, the reply key can be read). */
  readonly sealed: boolean;
}

/** The one table of reasons; docs/protocol.md prints it and a test compares the two. */
export const REASON_TABLE = {
  ITEMS_REJECTED: { disposition: 'PARTIAL', retry: 'NEW_MESSAGE', stored: 'outcome', sealed: true },
  ALL_ITEMS_REJECTED: { disposition: 'REJECTED', retry: 'NEW_MESSAGE', stored: 'outcome', sealed: true },
  CANNOT_OPEN: { disposition: 'REJECTED', retry: 'NEW_MESSAGE', stored: 'nothing', sealed: false },
  MALFORMED: { disposition: 'REJECTED', retry: 'NEW_MESSAGE', stored: 'outcome', sealed: true },
  MESSAGE_ID_REUSED: { disposition: 'REJECTED', retry: 'NEW_MESSAGE', stored: 'nothing', sealed: true },
  DEAD_LETTERED: {
    disposition: 'REJECTED',
    retry: 'SAME_MESSAGE_LATER',
    stored: 'dead letter',
    sealed: false,
  },
  CLIENT_BLOCKED: { disposition: 'REJECTED', retry: 'SAME_MESSAGE_LATER', stored: 'outcome', sealed: true },
  ROTATION_REQUEST_UNKNOWN: { disposition: 'REJECTED', retry: 'NEVER', stored: 'outcome', sealed: true },
  POLICY_REFUSED: { disposition: 'REJECTED', retry: 'SAME_MESSAGE_LATER', stored: 'outcome', sealed: true },
  QUARANTINE_FULL: { disposition: 'REJECTED', retry: 'SAME_MESSAGE_LATER', stored: 'nothing', sealed: false },
  SEALING_KEY_UNKNOWN: {
    disposition: 'QUARANTINED',
    retry: 'SAME_MESSAGE_LATER',
    stored: 'quarantine',
    sealed: false,
  },
  CLIENT_UNKNOWN: {
    disposition: 'QUARANTINED',
    retry: 'SAME_MESSAGE_LATER',
    stored: 'quarantine',
    sealed: false,
  },
  SIGNING_KEY_UNKNOWN: {
    disposition: 'QUARANTINED',
    retry: 'SAME_MESSAGE_LATER',
    stored: 'quarantine',
    sealed: false,
  },
  BODY_TYPE_UNKNOWN: {
    disposition: 'QUARANTINED',
    retry: 'SAME_MESSAGE_LATER',
    stored: 'quarantine',
    sealed: true,
  },
} as const satisfies Record<Exclude<Reason, 'NONE'>, ReasonRule>;

/** What a client does with a disposition that has no reason. */
export const DISPOSITION_RETRY = {
  QUEUED: 'SAME_MESSAGE_LATER',
  COMMITTED: 'NONE',
  ALREADY_COMMITTED: 'NONE',
} as const satisfies Partial<Record<Disposition, Retry>>;

/** Limits of the wire contract, in bytes, characters (UTF-16 code units) or items. */
export const LIMITS = {
  envelopeBytes: 128 * 1024,
  volumesPerMessage: 16,
  protectorsPerVolume: 8,
  keyPackageBytes: 16 * 1024,
  driveLabelChars: 64,
  clientVersionChars: 64,
  nameChars: 256,
  errorTextChars: 256,
  usersPerCheckIn: 64,
  waitSeconds: 30,
  registrationBytes: 16 * 1024,
} as const;
