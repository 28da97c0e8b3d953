import type { Guid } from './guid.js';
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
 * The messages of the wire contract as plain typed values: GUIDs as text, 64-bit integers as
 * bigint, enums as words. `decode.ts` and `encode.ts` name what turns them into bytes and back.
 *
 * Values that a client may get wrong item by item (ids, passwords, packages, texts) are left raw
 * here: `validate` judges them, so that one bad item never hides a good one.
 */

/** An envelope as it crosses HTTP. */
export interface Envelope {
  readonly messageId: Guid;
  readonly clientId: Guid;
  /** A body type newer than this release is kept as its number. */
  readonly bodyType: BodyType | number;
  readonly sentAtMs: number;
  /** Compact JWE. */
  readonly sealed: string;
  readonly traceparent: string;
  readonly tracestate: string;
}

/** A protector in an escrow message, values raw. */
export interface EscrowProtector {
  readonly keyId: Uint8Array;
  /** Absent = not sent, '' = sent empty (an error). */
  readonly recoveryPassword?: string;
  readonly keyPackage?: Uint8Array;
}

/** A volume in an escrow message, values raw. */
export interface EscrowVolume {
  readonly volumeId: Uint8Array;
  /** A type newer than this release is kept as its number. */
  readonly volumeType: VolumeType | number;
  readonly driveLabel: string;
  readonly protection: ProtectionState;
  readonly protectors: readonly EscrowProtector[];
}

/** A volume in a check-in, values raw. */
export interface ReportedVolume {
  readonly volumeId: Uint8Array;
  readonly volumeType: VolumeType | number;
  readonly driveLabel: string;
  readonly protection: ProtectionState;
  readonly keyIds: readonly Uint8Array[];
}

/** Exactly one body. */
export type Body =
  | { readonly type: 'ESCROW_RECOVERY_KEYS'; readonly volumes: readonly EscrowVolume[] }
  | { readonly type: 'ESCROW_TPM_OWNER_AUTH'; readonly ownerAuth?: Uint8Array }
  | {
      readonly type: 'ROTATION_RESULT';
      readonly requestId: Uint8Array;
      readonly outcome: RotationOutcome;
      readonly errorCode?: bigint;
      readonly errorText?: string;
      readonly newKeyId?: Uint8Array;
    }
  | {
      readonly type: 'CHECK_IN';
      readonly volumes: readonly ReportedVolume[];
      readonly machineName: string;
      readonly domain: string;
      readonly users: readonly { readonly domain: string; readonly name: string }[];
      readonly otherManagers: readonly OtherManager[];
      readonly lastError?: { readonly code: bigint; readonly text: string; readonly atMs: number };
    };

/** What stands before the body; enough to answer, even where the body is malformed or unknown. */
export interface MessageHead {
  readonly siteGuid: Guid;
  readonly messageId: Guid;
  readonly clientId: Guid;
  readonly bodyType: BodyType | number;
  /** 32 bytes. */
  readonly replyKey: Uint8Array;
  /** 1 to 2^63-1; 0 only in the head of a malformed message whose sequence is outside that. */
  readonly sequence: bigint;
  readonly createdAtMs: number;
  readonly clientVersion: string;
}

/** A signed message. */
export interface ClientMessage extends MessageHead {
  readonly body: Body;
}

/** The result of decoding the signed bytes. */
export type DecodedMessage =
  | { readonly kind: 'message'; readonly message: ClientMessage }
  /** The head is readable, the body type is newer than this release. */
  | { readonly kind: 'unknown body'; readonly head: MessageHead }
  /** Not decodable, or a rule of the contract is broken; `head` where it could be read. */
  | { readonly kind: 'malformed'; readonly problem: string; readonly head?: MessageHead };

/** The unsealed answer. */
export interface MessageReply {
  readonly messageId: Guid;
  readonly disposition: Disposition;
  readonly reason: Reason;
  readonly retry: Retry;
  readonly retryAfterSeconds: number;
  /** '' where nothing is sealed. */
  readonly sealedReply: string;
}

/** The result of one item. */
export interface ItemResult {
  readonly status: ItemStatus;
  readonly reason: ItemReason;
}

/** The result for one protector. */
export interface KeyResult extends ItemResult {
  /** As sent, cut at 16 bytes. */
  readonly keyId: Uint8Array;
  /** 1 to 8, or 0. */
  readonly badGroup: number;
  readonly keyPackage?: ItemResult;
}

/** The result for one volume. */
export interface VolumeResult {
  /** As sent, cut at 16 bytes. */
  readonly volumeId: Uint8Array;
  readonly status: ItemStatus;
  readonly reason: ItemReason;
  readonly keys: readonly KeyResult[];
}

/** Something the site asks of the client. */
export type Command =
  | {
      readonly type: 'ROTATE_KEY';
      readonly requestId: Guid;
      readonly volumeId: Guid;
      readonly keyId: Guid;
      readonly deadlineMs: number;
    }
  | { readonly type: 'ESCROW'; readonly volumeId: Guid; readonly keyIds: readonly Guid[] };

/** The policies that apply to a client, put together; what is false is refused. */
export interface ClientPolicy {
  readonly mode: PolicyMode;
  readonly checkIntervalMinutes: number;
  /** Of operating system and fixed volumes. */
  readonly recoveryPasswords: boolean;
  readonly keyPackages: boolean;
  readonly removableDrives: boolean;
  readonly tpmOwnerAuth: boolean;
}

/** What a worker seals under the reply key. */
export interface ReplyStatement {
  readonly siteGuid: Guid;
  readonly clientId: Guid;
  readonly messageId: Guid;
  /** SHA-256, 32 bytes. */
  readonly payloadDigest: Uint8Array;
  readonly disposition: Disposition;
  readonly reason: Reason;
  readonly retry: Retry;
  readonly volumes: readonly VolumeResult[];
  readonly tpmOwnerAuth?: ItemResult;
  readonly committedAtMs?: number;
  readonly serverTimeMs: number;
  readonly highestSequence: bigint;
  readonly siteDocumentVersion: number;
  readonly commands: readonly Command[];
  readonly registerAnew: boolean;
  readonly epoch: number;
  /** In replies to check-ins alone; absent there: no policy applies. */
  readonly policy?: ClientPolicy;
}

/** POST /v1/clients. */
export interface RegistrationRequest {
  readonly jws: string;
  /** The token's secret part, base64url; never leaves the gateway. */
  readonly enrolmentToken?: string;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  readonly previousKeyJws?: string;
  /** The certificate's public key (SPKI, DER) and its signature over the statement. */
  readonly certificateProof?: { readonly key: Uint8Array; readonly signature: Uint8Array };
}

/** What the new key signs. */
export interface RegistrationStatement {
  readonly siteGuid: Guid;
  readonly registrationId: Guid;
  readonly clientId: Guid;
  readonly publicKeyX: Uint8Array;
  readonly publicKeyY: Uint8Array;
  readonly createdAtMs: number;
  /** Empty, or 32 bytes. */
  readonly enrolmentTokenSha256: Uint8Array;
  /** Of the client's certificate: SHA-256 of its public key; absent or empty without one. */
  readonly certificateKeySha256?: Uint8Array;
}

/** Answer to POST /v1/clients. */
export interface RegistrationReply {
  readonly clientId: Guid;
  readonly status: RegistrationStatus;
  readonly reason: RegistrationReason;
  readonly epoch: number;
  readonly kid: string;
  readonly retry: Retry;
}

/** What a client signs for a site token. */
export interface TokenStatement {
  readonly siteGuid: Guid;
  readonly clientId: Guid;
  readonly nonce: Uint8Array;
}
