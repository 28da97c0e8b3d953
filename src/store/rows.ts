import type { Guid } from '../protocol/guid.js';
import type {
  BodyType,
  JoinType,
  PolicyMode,
  Reason,
  RegistrationReason,
  RegistrationStatus,
  StoredDisposition,
  VolumeType,
} from '../protocol/vocabulary.js';
import type { SecretForm, SecretIdentity } from '../secrets/types.js';

// The rows of the site database as the engine sees them.

/** One step of a message's way, for `mpe messages show`. No content. */
export interface StageRecord {
  readonly stage: 'receive' | 'open' | 'verify' | 'decode' | 'validate' | 'commit';
  readonly atMs: number;
  readonly tookMs: number;
  /** Process that did it. */
  readonly by: string;
  /** '' or a code. */
  readonly note: string;
}

/** A stored outcome. */
export interface OutcomeRow {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly digest: Uint8Array;
  readonly bodyType: BodyType | 'UNKNOWN';
  readonly epoch: number;
  readonly sequence: bigint;
  readonly disposition: StoredDisposition;
  readonly reason: Reason;
  /** Compact JWE, '' where the reply key could not be read. */
  readonly sealedReply: string;
  readonly attempts: number;
  readonly stages: readonly StageRecord[];
  readonly receivedAtMs: number;
  /** First time at this disposition. */
  readonly decidedAtMs: number;
  readonly decidedBy: string;
}

/** A message kept sealed. Identity: (client, message id) as the channel authenticated them. */
export interface QuarantineRow {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly bodyType: number;
  readonly reason: Reason;
  /** kid of the token that could not be opened or verified; '' where it does not matter. */
  readonly kid: string;
  readonly sealed: string;
  readonly attempts: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/** A message that failed again and again, or was failed by the queue itself. */
export interface DeadLetterRow {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly bodyType: number;
  /** Stable code: KILLED_ITS_WORKER, STORE_FAILED, HANDLER_FAILED, QUEUE_FAILED. */
  readonly cause: string;
  /** Text for the operator, no content. */
  readonly detail: string;
  readonly sealed: string;
  /** Release that gave up. */
  readonly release: string;
  readonly resends: number;
  readonly deadAtMs: number;
  /** Set by a redrive: the next delivery runs again, alone. */
  readonly redrivenAtMs: number | null;
}

/** A registered client. */
export interface ClientRow {
  readonly clientId: Guid;
  readonly state: 'ACTIVE' | 'BLOCKED' | 'PENDING';
  /** Of the current key. */
  readonly epoch: number;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  /** Of the enrolment token that let it in. */
  readonly tag?: string;
  readonly registeredAtMs: number;
  readonly keys: readonly ClientKeyRow[];
  readonly flags: readonly { readonly flag: string; readonly atMs: number; readonly detail: string }[];
}

/** A signing key of a client. */
export interface ClientKeyRow {
  readonly kid: string;
  readonly epoch: number;
  /** Public JWK as JSON. */
  readonly publicJwk: string;
  readonly registeredAtMs: number;
  /** The certificate or device that it came with. */
  readonly channel?: RegistrationChannel;
  /** The operator who accepted it. */
  readonly approvedBy?: string;
}

/** A certificate or device that names one client: what stays the same while it is renewed. */
export interface RegistrationChannel {
  readonly kind: 'client-certificate' | 'entra';
  /** Certificate: SHA-256 of its public key (SPKI), hex. Entra: `<tenant id>/<device id>`. */
  readonly subject: string;
}

/** What lets a registration in beside an enrolment token and the client's own keys. */
export interface Admission {
  /** Channels over which the client that they name registers without a token. */
  readonly channels: readonly RegistrationChannel['kind'][];
  /** A gateway's word for the same certificate or device is enough for a new key of a known client. */
  readonly channelRenews: boolean;
  /** What nothing else lets in waits for an operator. */
  readonly approval: boolean;
  /** Registrations that may wait; about, as several workers may count at once. */
  readonly pendingMax: number;
}

/** A registration that waits for an operator. */
export interface PendingRegistrationRow {
  readonly clientId: Guid;
  readonly kid: string;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  readonly channel: RegistrationChannel | null;
  readonly firstAskedAtMs: number;
  readonly lastAskedAtMs: number;
}

/** Clients that look like another one. Hints: names and hardware ids identify nobody. */
export interface LookAlikes {
  readonly sameHardware: readonly Guid[];
  readonly sameName: readonly Guid[];
}

/** A line of `mpe clients list`. */
export interface ListedClient {
  readonly clientId: Guid;
  readonly state: ClientRow['state'];
  readonly epoch: number;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly tag: string;
  readonly registeredAtMs: number;
  /** Its current epoch is flagged as a clone. */
  readonly clone: boolean;
  /** Another client, neither blocked nor merged, names the same hardware id. */
  readonly sameHardware: boolean;
}

/** What an operator did to a machine. */
export interface MachineEventRow {
  readonly clientId: Guid;
  readonly event: 'DELETED' | 'RESTORED' | 'MERGED' | 'BLOCKED' | 'UNBLOCKED';
  readonly intoClientId: Guid | null;
  readonly atMs: number;
  readonly by: string;
}

/** A verified registration. */
export interface RegistrationWrite {
  readonly clientId: Guid;
  readonly registrationId: Guid;
  readonly kid: string;
  readonly publicJwk: string;
  /** SHA-256 of the enrolment token's secret, 32 bytes; null = none. */
  readonly enrolmentTokenHash: Uint8Array | null;
  /** kid of the client's key that signed for this one; null = none. */
  readonly provenByKid: string | null;
  /** The certificate or device that the gateway says sent it. */
  readonly channel?: RegistrationChannel | null;
  /** SHA-256 (hex) of a certificate's public key that signed for it, verified. */
  readonly certificateSubject?: string | null;
  /** Absent: tokens alone. */
  readonly admission?: Admission;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  readonly atMs: number;
}

/** What became of a registration. */
export interface RegistrationResult {
  readonly status: RegistrationStatus;
  readonly reason: RegistrationReason;
  readonly epoch: number;
}

/** A rotation request (recovery service); read by workers for commands. */
export interface RotationRequestRow {
  readonly requestId: Guid;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly deadlineMs: number;
}

/** Where a generation stands in the order of (secret id, generation). */
export interface SecretPosition {
  readonly secretId: Uint8Array;
  readonly generation: number;
}

/** A stored secret with what is needed to open and check it. */
export interface StoredSecret {
  readonly identity: SecretIdentity;
  readonly generation: number;
  readonly content: SecretForm;
  readonly damaged: boolean;
  readonly storedAtMs: number;
}

/** A sealing key; the private part is a JWE (typ mpe-sk) under the worker secret. */
export interface SealingKeyRow {
  readonly kid: string;
  readonly alg: 'RSA-OAEP-256' | 'ECDH-ES+A256KW';
  readonly publicJwk: string;
  readonly wrappedPrivate: string;
  readonly state: 'ACTIVE' | 'RETIRED';
  readonly createdAtMs: number;
}

/** A retired sealing key: its private part is a JWE (typ mpe-dk) to a certificate. */
export interface ArchivedSealingKeyRow {
  readonly kid: string;
  /** SHA-256 hex of the certificate that opens it. */
  readonly certificateThumbprint: string;
  readonly alg: SealingKeyRow['alg'];
  readonly publicJwk: string;
  readonly wrapped: string;
  /** When the key was made, not when it was archived. */
  readonly createdAtMs: number;
  readonly archivedAtMs: number;
}

/** What the site knows now, and so which messages need not stay in quarantine. */
export interface QuarantineRelease {
  /** Sealing keys that can be opened. Clients and signing keys are looked up in the database. */
  readonly sealingKids: readonly string[];
  /** Numbers of the body types that are understood. */
  readonly bodyTypes: readonly number[];
  readonly nowMs: number;
  readonly limit: number;
}

/** The site and its keys as `site init` writes them. */
export interface SiteRow {
  readonly siteGuid: Guid;
  readonly name: string;
  readonly rootThumbprint: string;
  /** True where `MPE_TEST_*` settings are allowed. */
  readonly testSite: boolean;
  readonly siteVersion: string;
  readonly createdAtMs: number;
}

/** A BitLocker management policy. */
export interface PolicyRow {
  readonly policyId: Guid;
  readonly name: string;
  readonly mode: PolicyMode;
  /** null = all clients. Without effect where there are rings. */
  readonly targetTag: string | null;
  readonly storePackages: boolean;
  readonly removableDrives: boolean;
  readonly tpmOwnerAuth: boolean;
  readonly checkIntervalMinutes: number;
  readonly createdAtMs: number;
  /** DEPLOYED alone applies to anybody; RETIRED is for good. */
  readonly state: 'DRAFT' | 'DEPLOYED' | 'RETIRED';
  /** Keys that MBAM had before count as exposed: `MANAGE` rotates them, paced by the rings. */
  readonly mbamMigration: boolean;
  /** Rotate although the client reports another manager. */
  readonly rotateBesideOthers: boolean;
  /** One more with each change. */
  readonly revision: number;
  readonly deployedAtMs: number | null;
  readonly retiredAtMs: number | null;
  /** In their order; none: the policy has one target. */
  readonly rings: readonly PolicyRing[];
}

/** A part of a policy's targets that the policy reaches by itself. */
export interface PolicyRing {
  /** From 1. */
  readonly position: number;
  readonly tag: string;
  /** PAUSED: the policy goes on applying, nothing new is begun in it or behind it. */
  readonly state: 'CLOSED' | 'OPEN' | 'PAUSED';
  readonly opens: 'BY_HAND' | 'AFTER_PREVIOUS';
  /** Thousandths of the machines heard from; above it the ring pauses by itself. */
  readonly failureLimit: number;
  /** How long it must have been open and fine before the next one opens. */
  readonly soakMinutes: number;
  /** Rotations that the policy itself begins here in an hour. */
  readonly rotationsPerHour: number;
  readonly openedAtMs: number | null;
  readonly pausedAtMs: number | null;
  readonly pauseReason: string;
}

/** An enrolment token; the secret itself is never stored. */
export interface EnrolmentTokenRow {
  readonly tokenId: Guid;
  readonly secretHash: Uint8Array;
  readonly usesAllowed: number;
  readonly usesLeft: number;
  readonly expiresAtMs: number;
  readonly tag: string;
  readonly revokedAtMs: number | null;
  readonly createdAtMs: number;
}

/** All that `site init` writes, in one transaction. */
export interface SiteSeed {
  readonly site: SiteRow;
  readonly siteDocument: { readonly version: number; readonly jws: string };
  readonly sealingKeys: readonly SealingKeyRow[];
  readonly fingerprintKey: FingerprintKeyRow;
  readonly policy: PolicyRow;
  readonly enrolmentTokens: readonly EnrolmentTokenRow[];
}

/** The fingerprint key, wrapped (JWE, typ mpe-sk) under the worker secret. */
export interface FingerprintKeyRow {
  readonly fingerprintKeyId: Guid;
  readonly wrapped: string;
  readonly createdAtMs: number;
}

/** A key as `mpe keys find` shows it: metadata alone. */
export interface FoundKey {
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly firstStoredAtMs: number;
  readonly lastProvenAtMs: number;
  /** A recovery password with an undamaged generation exists. */
  readonly readable: boolean;
  readonly hasPackage: boolean;
  /** Another password is stored for the same key id and volume. */
  readonly conflict: boolean;
  readonly disclosed: boolean;
  readonly holders: readonly {
    readonly clientId: Guid;
    readonly machineName: string;
    /** The key id is in this client's current set for the volume. */
    readonly current: boolean;
    readonly reportedAtMs: number | null;
  }[];
}

/** All that the database has on one message id. */
export interface MessageTrace {
  readonly outcomes: readonly OutcomeRow[];
  readonly quarantined: readonly QuarantineRow[];
  readonly deadLetters: readonly DeadLetterRow[];
}

/** Counts for `mpe status`. */
export interface SiteCounts {
  readonly clients: number;
  readonly keys: number;
  readonly secrets: number;
  readonly damagedSecrets: number;
  readonly outcomes: number;
  readonly quarantined: number;
  readonly deadLetters: number;
}

/** A line of the site hash or dump: a table name and its canonical columns as text. */
export interface HashLine {
  readonly table: 'clients' | 'keys' | 'proofs' | 'reports';
  readonly columns: readonly string[];
}

/** What durability the database promises, read back from it. */
export interface DurabilityReport {
  readonly durable: boolean;
  /** e.g. `journal_mode=wal synchronous=FULL`. */
  readonly detail: string;
  /** What is not refused but an operator should know, one sentence each. */
  readonly warnings?: readonly string[];
}
