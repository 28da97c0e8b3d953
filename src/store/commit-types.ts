import type { Guid } from '../protocol/guid.js';
import type {
  BodyType,
  OtherManager,
  ProtectionState,
  RotationOutcome,
  VolumeType,
} from '../protocol/vocabulary.js';
import type { SecretForm, SecretIdentity } from '../secrets/types.js';
import type { RotationOrigin } from './may-rotate.js';
import type { OutcomeRow, RotationRequestRow } from './rows.js';

// A message on its way into the site database: what is read, decided and written of it.

/** Order of one client's messages: (epoch, sequence, digest), compared in that order. */
export interface Rank {
  readonly epoch: number;
  readonly sequence: bigint;
  /** SHA-256 of the signed payload, 32 bytes. */
  readonly digest: Uint8Array;
}

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

/** An open rotation request as it concerns one client that proved the key. */
export interface OpenRotation extends RotationRequestRow {
  readonly origin: RotationOrigin;
  /** No client is told before this. */
  readonly notBeforeMs: number;
  /** One more with each exposure of a key of the volume. */
  readonly round: number;
  /** A reply of this round to this client carried the command. */
  readonly delivered: boolean;
}

/** What the database knows that decides over a candidate, read in one go before planning. */
export interface Classified {
  readonly outcome: OutcomeRow | null;
  /** Hex secret ids, of the candidate's secrets, that have a healthy generation. */
  readonly healthy: ReadonlySet<string>;
  /**
   * `${volumeId}/${keyId}` of the candidate's reported volumes for which this client has proven a
   * recovery password that has a healthy generation.
   */
  readonly readable: ReadonlySet<string>;
  /**
   * `${volumeId}/${keyId}` in this client's current reports without such a proof; a few hundred at
   * most, in order of volumes.
   */
  readonly unreadable: ReadonlySet<string>;
  /** The rank of the client's state row, for CheckIns. */
  readonly stateRank: Rank | null;
  /** Highest sequence of this client's epoch in outcomes, reports and state; 0n for none. */
  readonly highestSequence: bigint;
  /** Another message id of this client has the same (epoch, sequence): a clone. */
  readonly sequenceTwin: boolean;
  /** The client is flagged as a clone and must register anew. */
  readonly registerAnew: boolean;
  /**
   * Open rotation requests for keys that this client has proven, by deadline, until a key of the same
   * volume that was never exposed is committed by this client after the exposure (E1 of the design).
   */
  readonly rotations: readonly OpenRotation[];
  /** What the client's state row says of other managers; none where there is no row. */
  readonly otherManagers: readonly OtherManager[];
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
  /** Rotation commands in the reply that this client gets for the first time in their round. */
  readonly deliveries?: readonly { readonly requestId: Guid; readonly round: number }[];
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
