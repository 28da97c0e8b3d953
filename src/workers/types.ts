import type { Guid } from '../protocol/guid.js';
import type { BodyType, ItemReason, Reason } from '../protocol/vocabulary.js';
import type { MessageReply } from '../protocol/client-message.js';
import type {
  ClientRow,
  ClientState,
  Rank,
  RotationReport,
  SecretIdentity,
  StageRecord,
  VolumeReport,
} from '../store/site-store.js';

/**
 * The values that pass from stage to stage. A stage either hands on the next value or a
 * {@link Refusal}; it never throws for what a client did wrong.
 */

/** How a stage ends the way of a message before `commit`. */
export interface Refusal {
  readonly kind: 'refused';
  readonly reason: Exclude<Reason, 'NONE'>;
  /** Precise, for the operator's log; no content. */
  readonly cause: string;
  /** kid that could not be used; '' where it does not matter. */
  readonly kid: string;
}

/** Builds a {@link Refusal}. */
export function refuse(reason: Refusal['reason'], cause: string, kid = ''): Refusal {
  return { kind: 'refused', reason, cause, kid };
}

/** After `verify`: the bytes that the client signed. */
export interface Verified {
  readonly kind: 'verified';
  readonly client: ClientRow;
  /** Epoch of the key that signed, not necessarily the client's newest. */
  readonly epoch: number;
  readonly payload: Buffer;
  /** SHA-256 of `payload`. */
  readonly digest: Buffer;
}

/** A secret as a client sent it, after validation and gates. */
export interface JudgedSecret {
  readonly identity: SecretIdentity;
  /** What is encrypted: canonical text of a password, bytes of the others. */
  readonly plaintext: Uint8Array;
}

/** What one protector of a message came to, before the database is asked. */
export type KeyVerdict =
  /** Carries a good secret: hex of its secret id. */
  | { readonly kind: 'secret'; readonly secretId: string }
  /**
   * Named without a secret: `${volumeId}/${keyId}`. `gate` is why the site would not take the
   * secret, NONE where it would.
   */
  | { readonly kind: 'named'; readonly ref: string; readonly gate: ItemReason }
  | { readonly kind: 'refused'; readonly reason: ItemReason; readonly badGroup: number };

/** A key package beside a protector. */
export type PackageVerdict =
  | { readonly kind: 'secret'; readonly secretId: string }
  | { readonly kind: 'refused'; readonly reason: ItemReason };

/** One protector, in the order of the message. */
export interface KeyDraft {
  /** As sent, cut at 16 bytes. */
  readonly keyId: Uint8Array;
  readonly verdict: KeyVerdict;
  readonly keyPackage: PackageVerdict | null;
}

/** One volume, in the order of the message. */
export interface VolumeDraft {
  /** As sent, cut at 16 bytes. */
  readonly volumeId: Uint8Array;
  /** NONE, or why the volume itself is refused. */
  readonly refusal: ItemReason;
  readonly keys: readonly KeyDraft[];
}

/** What a handler makes of a body: what would be written, and what would be answered. */
export interface Judged {
  readonly secrets: readonly JudgedSecret[];
  readonly volumes: readonly VolumeReport[];
  readonly state: ClientState | null;
  readonly rotation: RotationReport | null;
  readonly drafts: readonly VolumeDraft[];
  /** Of an EscrowTpmOwnerAuth that carried a value. */
  readonly tpmOwnerAuth: PackageVerdict | null;
}

/** A judged body with nothing in it. */
export const NOTHING_JUDGED: Judged = {
  secrets: [],
  volumes: [],
  state: null,
  rotation: null,
  drafts: [],
  tpmOwnerAuth: null,
};

/** What is needed to seal an answer to a verified message. */
export interface ReplyTarget {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly digest: Uint8Array;
  readonly epoch: number;
  /** Null where the head could not be read: then nothing can be sealed. */
  readonly replyKey: Uint8Array | null;
}

/** A verified message on its way into `commit`. */
export interface Prepared {
  readonly target: ReplyTarget;
  readonly rank: Rank;
  readonly bodyType: BodyType | 'UNKNOWN';
  /** A refusal of the whole message that leaves an outcome (MALFORMED, CLIENT_BLOCKED, POLICY_REFUSED). */
  readonly refusal: Refusal | null;
  readonly judged: Judged;
  readonly stages: readonly StageRecord[];
  readonly receivedAtMs: number;
  readonly attempt: number;
}

/** What became of a message, for the caller of the pipeline. */
export interface Processed {
  /** The answer; QUEUED where the message has to be tried again. */
  readonly reply: MessageReply;
  /**
   * `done`: the answer may be given and the job may end. `delay`: try again after `delayMs`.
   * `alone`: run it again with `alone: true`, at once (a dead letter that gets another try).
   */
  readonly verdict: 'done' | 'delay' | 'alone';
  readonly delayMs: number;
  /** Rows of keys and generations that this message added. */
  readonly keysWritten: number;
  /** Anything was written to the outcome. */
  readonly written: boolean;
  /** Precise, for the operator's log; no content. */
  readonly cause: string;
}
