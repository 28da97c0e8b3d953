/**
 * The site database as the engine sees it. Two implementations, one conformance suite.
 *
 * Invariants every implementation keeps (design R1, R2, R8):
 *  * `apply` is one durable transaction (or one savepoint a message inside it). When it answers
 *    `applied`, everything of that plan is on disk.
 *  * The outcome row is inserted first and without a filter: it is the fence that lets a message
 *    take effect once. A violation of it answers `raced` and leaves nothing of that message.
 *  * Keys, secrets, proofs and audit rows are only ever added.
 *  * Ranks are compared inside one client; a lower rank never replaces a higher one.
 *  * Every method is asynchronous and throws MpeError STORE_TRANSIENT (try again) or STORE_FAILED.
 */
import type { Guid } from '../protocol/guid.js';
import type {
  BodyType,
  JoinType,
  OtherManager,
  ProtectionState,
  Reason,
  RegistrationReason,
  RegistrationStatus,
  RotationOutcome,
  StoredDisposition,
  VolumeType,
} from '../protocol/vocabulary.js';
import type { DataKeyRow, SecretForm, SecretIdentity, SecretKind } from '../secrets/types.js';

/** Order of one client's messages: (epoch, sequence, digest), compared in that order. */
export interface Rank {
  readonly epoch: number;
  readonly sequence: bigint;
  /** SHA-256 of the signed payload, 32 bytes. */
  readonly digest: Uint8Array;
}

export type { DataKeyRow, SecretForm, SecretIdentity, SecretKind };

/** A secret to store: used where the identity has no healthy generation. */
export interface SecretWrite {
  readonly identity: SecretIdentity;
  readonly content: SecretForm;
}

/** A volume as a message reports it, valid and canonical. */
export interface VolumeReport {
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly driveLabel: string;
  readonly protection: ProtectionState;
  /** Sorted, distinct. */
  readonly keyIds: readonly Guid[];
}

/** What a CheckIn says of the machine. */
export interface ClientState {
  readonly machineName: string;
  readonly domain: string;
  readonly users: readonly { readonly domain: string; readonly name: string }[];
  readonly otherManagers: readonly OtherManager[];
  readonly lastError: { readonly code: bigint; readonly text: string; readonly atMs: number } | null;
}

/** A verified, decoded and validated message on its way into the database. */
export interface CommitCandidate {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly bodyType: BodyType | 'UNKNOWN';
  readonly rank: Rank;
  /** Identities of the secrets it carries, after the gates. */
  readonly secrets: readonly SecretIdentity[];
  /** Reported volumes that may replace the client's reports. */
  readonly volumes: readonly VolumeReport[];
  /** From a CheckIn. */
  readonly state: ClientState | null;
  /** From a RotationResult. */
  readonly rotation: RotationReport | null;
  /** False for a CheckIn that is committed: it leaves reports and state, no outcome. */
  readonly leavesOutcome: boolean;
}

/** From a RotationResult: a claim, kept beside the request, never evidence. */
export interface RotationReport {
  readonly requestId: Guid;
  readonly outcome: RotationOutcome;
  readonly errorCode: bigint | null;
  readonly errorText: string | null;
  readonly newKeyId: Guid | null;
}

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

/** What the database knows that decides over a candidate, read in one go before planning. */
export interface Classified {
  readonly outcome: OutcomeRow | null;
  readonly deadLetter: DeadLetterRow | null;
  /** Hex secret ids, of the candidate's secrets, that have a healthy generation. */
  readonly healthy: ReadonlySet<string>;
  /**
   * `${volumeId}/${keyId}` of the candidate's reported volumes for which this client has proven a
   * recovery password that has a healthy generation.
   */
  readonly readable: ReadonlySet<string>;
  /** `${volumeId}/${keyId}` in this client's current reports without such a proof. */
  readonly unreadable: ReadonlySet<string>;
  /** The rank of the client's state row, for CheckIns. */
  readonly stateRank: Rank | null;
  /** Highest sequence of this client's epoch in outcomes, reports and state; 0n for none. */
  readonly highestSequence: bigint;
  /** Another message id of this client has the same (epoch, sequence): a clone. */
  readonly sequenceTwin: boolean;
  /** The client is flagged as a clone and must register anew. */
  readonly registerAnew: boolean;
  /** Open rotation requests for keys that this client has proven. */
  readonly rotations: readonly RotationRequestRow[];
  /** Whether the candidate's rotation report names an open request of this client. */
  readonly rotationKnown: boolean;
}

/** What to write for one candidate. */
export interface CommitPlan {
  readonly candidate: CommitCandidate;
  /** Null: a CheckIn without outcome. */
  readonly outcome: OutcomeRow | null;
  /** Fresh insert, or the update of a non-final outcome that may only move up. */
  readonly outcomeMode: 'insert' | 'move-up';
  /** Secrets whose identity has no healthy generation. */
  readonly secrets: readonly SecretWrite[];
  /** Effects are written only with COMMITTED and PARTIAL. */
  readonly effects: boolean;
  readonly atMs: number;
}

/** What became of one plan. */
export type ApplyResult =
  /** Durable. `keysWritten` counts stored generations, of new keys and successors, for tests and the demo. */
  | { readonly kind: 'applied'; readonly keysWritten: number }
  /** Someone else committed in between: classify again. */
  | { readonly kind: 'raced' }
  /** This message alone makes the database fail. */
  | { readonly kind: 'failed'; readonly error: Error };

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
  readonly mode: 'OBSERVE' | 'ESCROW' | 'MANAGE';
  /** null = all clients. */
  readonly targetTag: string | null;
  readonly storePackages: boolean;
  readonly removableDrives: boolean;
  readonly tpmOwnerAuth: boolean;
  readonly checkIntervalMinutes: number;
  readonly createdAtMs: number;
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
}

/** The site database. */
export interface SiteStore {
  readonly dialect: 'sqlite' | 'mssql';

  /** Closes every connection. Safe to call twice. */
  close(): Promise<void>;
  /** Reads the durability settings back. */
  durability(): Promise<DurabilityReport>;
  /** Writes and commits one row, so that readiness tells the truth. */
  probeWrite(by: string): Promise<void>;

  createSite(seed: SiteSeed): Promise<void>;
  readSite(): Promise<SiteRow | null>;
  readSiteDocument(): Promise<{ readonly version: number; readonly jws: string }>;
  /** Refuses a version that is not above the stored one. */
  appendSiteDocument(version: number, jws: string): Promise<void>;
  readSealingKeys(): Promise<readonly SealingKeyRow[]>;
  addSealingKey(row: SealingKeyRow): Promise<void>;
  readFingerprintKey(): Promise<FingerprintKeyRow>;
  readPolicies(): Promise<readonly PolicyRow[]>;
  insertDataKey(row: DataKeyRow): Promise<void>;
  readDataKeys(): Promise<readonly DataKeyRow[]>;
  insertEnrolmentToken(row: EnrolmentTokenRow): Promise<void>;
  readEnrolmentTokens(): Promise<readonly EnrolmentTokenRow[]>;
  /** Ends a token; the first time of revoking stays. False where there is no such token. */
  revokeEnrolmentToken(tokenId: Guid, atMs: number): Promise<boolean>;

  findClient(clientId: Guid): Promise<ClientRow | null>;
  /** Client ids that registered this key. */
  findKeyOwners(kid: string): Promise<readonly Guid[]>;
  commitRegistration(write: RegistrationWrite): Promise<RegistrationResult>;
  setClientState(clientId: Guid, state: 'ACTIVE' | 'BLOCKED', by: string): Promise<void>;

  /** Reads what decides over candidates; a constant number of statements. Same order as given. */
  classify(candidates: readonly CommitCandidate[]): Promise<readonly Classified[]>;
  /** Writes plans; no two of one call share (client, message id). Same order as given. */
  apply(plans: readonly CommitPlan[]): Promise<readonly ApplyResult[]>;

  findOutcome(clientId: Guid, messageId: Guid): Promise<OutcomeRow | null>;
  findQuarantined(clientId: Guid, messageId: Guid): Promise<QuarantineRow | null>;
  findDeadLetter(clientId: Guid, messageId: Guid): Promise<DeadLetterRow | null>;
  /** Keeps a message sealed, or counts another attempt; `full` at the bound, then nothing is kept. */
  quarantine(row: QuarantineRow, bound: number): Promise<'kept' | 'full'>;
  /** Idempotent on (client, message id); the oldest rows leave their sealed text at the bound. */
  addDeadLetter(row: DeadLetterRow, bound: number): Promise<void>;
  /** Counts a re-send of a dead message. */
  countDeadLetterResend(clientId: Guid, messageId: Guid): Promise<void>;
  /** Lets the next delivery run again, alone. False where there is no such dead letter. */
  redriveDeadLetter(clientId: Guid, messageId: Guid, atMs: number): Promise<boolean>;
  /** Removes outcomes older than `beforeMs` (the caller keeps at least 30 days). Returns the count. */
  pruneOutcomes(beforeMs: number): Promise<number>;

  traceMessage(messageId: Guid): Promise<MessageTrace>;
  /** By the first eight or more hex digits, hyphens ignored; metadata only, at most `limit`. */
  findKeys(prefix: string, limit: number): Promise<readonly FoundKey[]>;
  counts(): Promise<SiteCounts>;

  /** Every stored secret, in order of secret id and generation. */
  streamSecrets(): AsyncIterable<StoredSecret>;
  /** Marks a generation unreadable, so that the key gets a successor when it comes again. */
  markDamaged(secretId: Uint8Array, generation: number, reason: string, atMs: number): Promise<void>;

  /** Opens a rotation request (the recovery service's part comes later; workers read it). */
  openRotationRequest(row: RotationRequestRow, atMs: number): Promise<void>;

  /** The lines of the site hash, sorted by table and columns. */
  hashLines(): AsyncIterable<HashLine>;
}
