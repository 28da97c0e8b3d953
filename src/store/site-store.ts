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
import type { DataKeyRow } from '../secrets/types.js';
import type { CommitCandidate, Classified, CommitPlan, ApplyResult } from './commit-types.js';
import type { DisclosureStore } from './disclosure-store.js';
import type { PeopleStore } from './people-store.js';
import type { SearchStore } from './search-store.js';
import type { PolicyStore } from './policy-store.js';
import type { RotationStore } from './rotation-store.js';
import type {
  OutcomeRow,
  QuarantineRow,
  DeadLetterRow,
  ClientRow,
  RegistrationWrite,
  RegistrationResult,
  PendingRegistrationRow,
  LookAlikes,
  ListedClient,
  MachineEventRow,
  RotationRequestRow,
  SecretPosition,
  StoredSecret,
  SealingKeyRow,
  ArchivedSealingKeyRow,
  QuarantineRelease,
  SiteRow,
  PolicyRow,
  EnrolmentTokenRow,
  SiteSeed,
  FingerprintKeyRow,
  FoundKey,
  MessageTrace,
  SiteCounts,
  HashLine,
  DurabilityReport,
} from './rows.js';

export type { DataKeyRow, SecretForm, SecretIdentity, SecretKind } from '../secrets/types.js';
export type * from './commit-types.js';
export type * from './rows.js';
export type * from './policy-store.js';
export type * from './rotation-store.js';

/** The site database. */
export interface SiteStore {
  readonly dialect: 'sqlite' | 'mssql';
  /** Policies, rings, management points, devices, coverage. */
  readonly policy: PolicyStore;
  /** Rotation requests and their evidence. */
  readonly rotation: RotationStore;
  /** Disclosure, audit, incidents. */
  readonly disclosure: DisclosureStore;
  /** People who sign in to the recovery service. */
  readonly people: PeopleStore;
  /** What the portals search. */
  readonly search: SearchStore;

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
  /**
   * Takes a sealing key from the workers, if it is in the archive; false where it is not there (any
   * more). Refuses a key that is not archived.
   */
  removeSealingKey(kid: string): Promise<boolean>;
  /** Adds to the archive; idempotent on (kid, certificate): what is there stays. */
  archiveSealingKey(row: ArchivedSealingKeyRow): Promise<void>;
  /** Every archived key, by kid and certificate. */
  readArchivedSealingKeys(): Promise<readonly ArchivedSealingKeyRow[]>;
  readFingerprintKey(): Promise<FingerprintKeyRow>;
  readPolicies(): Promise<readonly PolicyRow[]>;
  insertDataKey(row: DataKeyRow): Promise<void>;
  /** Wraps of data keys that are there, some hundred in one transaction; what is there stays. */
  insertDataKeyWraps(rows: readonly DataKeyRow[]): Promise<void>;
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
  /** Registrations that wait for an operator, those that wait longest first. */
  readPendingRegistrations(limit: number): Promise<readonly PendingRegistrationRow[]>;
  /**
   * Registers what waits: a new client with a tag, or a new epoch of a known one. All keys of the
   * client stay. Refuses what cannot be any more (KEY_IN_USE, CLIENT_BLOCKED); null where nothing waits.
   */
  approveRegistration(
    clientId: Guid,
    kid: string,
    approval: { readonly by: string; readonly tag: string; readonly atMs: number },
  ): Promise<RegistrationResult | null>;
  /** Drops what waits, which may ask again. False where nothing waits. */
  rejectRegistration(clientId: Guid, kid: string): Promise<boolean>;
  /** At most `limit` clients, the newest first; `flagged`: clones and hardware ids that occur twice. */
  listClients(filter: {
    readonly flagged: boolean;
    readonly limit: number;
  }): Promise<readonly ListedClient[]>;
  /** Other clients with the same hardware id or machine name and domain, at most ten of each. */
  findLookAlikes(
    clientId: Guid,
    hints: { readonly hardwareId: string; readonly machineName: string; readonly domain: string },
  ): Promise<LookAlikes>;
  /**
   * Says that one client is now another, in the machine's events; nothing is re-pointed.
   *
   * @throws MpeError VALUE_INVALID where one of them is not registered or was merged before.
   */
  mergeClient(clientId: Guid, intoClientId: Guid, by: string): Promise<void>;
  /** What operators did to a machine or merged into it, oldest first. */
  readMachineEvents(clientId: Guid): Promise<readonly MachineEventRow[]>;

  /** Reads what decides over candidates; a constant number of statements. Same order as given. */
  classify(candidates: readonly CommitCandidate[]): Promise<readonly Classified[]>;
  /** Writes plans; no two of one call share (client, message id). Same order as given. */
  apply(plans: readonly CommitPlan[]): Promise<readonly ApplyResult[]>;

  findOutcome(clientId: Guid, messageId: Guid): Promise<OutcomeRow | null>;
  findQuarantined(clientId: Guid, messageId: Guid): Promise<QuarantineRow | null>;
  findDeadLetter(clientId: Guid, messageId: Guid): Promise<DeadLetterRow | null>;
  /**
   * Keeps a message sealed, or counts another attempt; `full` at the bound, or at the client's share
   * of it (`quarantineShare`): then nothing is kept.
   */
  quarantine(row: QuarantineRow, bound: number): Promise<'kept' | 'full'>;
  /**
   * Quarantined messages whose reason no longer holds, the oldest first. A message that came back
   * from it waits ten seconds an attempt, ten minutes at most; one that is a dead letter too stays.
   */
  findReleasableQuarantine(release: QuarantineRelease): Promise<readonly QuarantineRow[]>;
  /** Removes a message that was decided without a row of its own, unless it was sealed anew since. */
  resolveQuarantined(clientId: Guid, messageId: Guid, sealed: string): Promise<void>;
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
  /** Secrets of which every generation is in plain text. */
  countPlainSecrets(): Promise<number>;

  /** Every stored secret, in order of secret id and generation. */
  streamSecrets(): AsyncIterable<StoredSecret>;
  /** At most `limit` generations in the order of {@link streamSecrets}, after a position; null begins. */
  secretsPage(after: SecretPosition | null, limit: number): Promise<readonly StoredSecret[]>;
  /**
   * At most `limit` generations in the order in which they were stored, after a place in that order
   * that this method gave before; null, or a place that the database does not know, begins with the
   * newest `limit` of each kind of table. A place is opaque and not for keeping. What was stored a
   * moment ago may come again at the next call, and is never left out.
   */
  secretsStoredAfter(
    place: string | null,
    limit: number,
  ): Promise<{ readonly secrets: readonly StoredSecret[]; readonly place: string }>;
  /** Marks a generation unreadable, so that the key gets a successor when it comes again. */
  markDamaged(secretId: Uint8Array, generation: number, reason: string, atMs: number): Promise<void>;

  /** Opens a rotation request (the recovery service's part comes later; workers read it). */
  openRotationRequest(row: RotationRequestRow, atMs: number): Promise<void>;

  /** The lines of the site hash, sorted by table and columns. */
  hashLines(): AsyncIterable<HashLine>;
}
