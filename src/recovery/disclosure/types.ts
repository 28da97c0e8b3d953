import type { Guid } from '../../protocol/guid.js';
import type { VolumeType } from '../../protocol/vocabulary.js';
import type { AuditSource } from '../../store/disclosure-store.js';
import type { Person } from '../roles.js';

/** A user of a machine. */
export interface NamedUser {
  readonly domain: string;
  readonly account: string;
}

/** What is asked for. Key IDs are whole: who types eight digits has searched first. */
export type DisclosureTarget =
  | {
      readonly kind: 'RECOVERY_PASSWORD' | 'KEY_PACKAGE';
      readonly keyId: Guid;
      /** Where one key ID stands for several volumes; absent: all of them. */
      readonly volumeId?: Guid;
    }
  /** A machine by its client id, or by its name where that is one machine's alone. */
  | { readonly kind: 'TPM_OWNER_AUTH'; readonly machine: Guid | string };

/** A request. */
export interface DisclosureRequest {
  /** Made by the caller, one a request: what a lost answer is looked up by. */
  readonly disclosureId: Guid;
  readonly person: Person;
  readonly source: AuditSource;
  /** `own`: of the person's own machines (self-service). */
  readonly way: 'helpdesk' | 'own';
  readonly target: DisclosureTarget;
  /** Whose machine it is; demanded of helpdesk users. */
  readonly endUser: NamedUser | null;
  readonly reason: string;
  /** '' where there is none. */
  readonly ticket: string;
  /** The caller can show one value alone: where several are stored, none is shown. */
  readonly oneValue?: boolean;
}

/** Why nothing is shown. All but AUDIT_UNAVAILABLE have their audit row. */
export type DisclosureRefusal =
  /** The person's roles do not let them. */
  | 'NOT_ALLOWED'
  | 'NOT_FOUND'
  /** A machine's name that several machines have; several values, where one alone can be shown. */
  | 'AMBIGUOUS'
  | 'USER_REQUIRED'
  /** The user never signed in to a machine that sent this key. */
  | 'USER_UNRELATED'
  | 'NOT_OWN_MACHINE'
  | 'REASON_INVALID'
  | 'REQUEST_INVALID'
  | 'LIMIT_REACHED'
  /** This version of Windows did not hand out its TPM password hash, or no package was escrowed. */
  | 'NOT_PROVIDED'
  /** The key that encrypts it is not at hand: certificate or data key. */
  | 'KEY_VERSION_UNAVAILABLE'
  /** No stored copy opens. */
  | 'DAMAGED'
  /** The audit row cannot be written now: nothing is shown. */
  | 'AUDIT_UNAVAILABLE';

/** A machine that sent a key. */
export interface ShownMachine {
  readonly clientId: Guid;
  readonly name: string;
  readonly domain: string;
  /** When it sent the key. */
  readonly provenAtMs: number;
  readonly current: boolean;
  readonly reportedAtMs: number | null;
}

/** What a shown key is now. */
export type ShownState = 'CURRENT' | 'SUPERSEDED' | 'NOT_REPORTED';

/** One key, shown. */
export interface ShownKey {
  readonly kind: DisclosureTarget['kind'];
  /** For a TPM password hash the client id. */
  readonly keyId: Guid;
  /** null: a TPM password hash. */
  readonly volumeId: Guid | null;
  readonly volumeType: VolumeType;
  readonly driveLabel: string;
  /** The 48 digits in groups; the package's bytes; the hash in base64. */
  readonly value: string | Uint8Array;
  /** The newest proof first. */
  readonly machines: readonly ShownMachine[];
  readonly storedAtMs: number;
  readonly state: ShownState;
  /** Another value is stored for the same key ID and volume. */
  readonly conflicting: boolean;
  /** Before this request. */
  readonly exposedAtMs: number | null;
  /** The open request to rotate it; null: no machine that sent it has it any more, or it is no key. */
  readonly rotationRequestId: Guid | null;
}

/** A key that belongs to the request and is not shown. */
export interface WithheldKey {
  readonly keyId: Guid;
  readonly volumeId: Guid | null;
  /** Which machines sent it; none where they are not this person's to see. */
  readonly machines: readonly ShownMachine[];
  readonly why: 'DAMAGED' | 'KEY_VERSION_UNAVAILABLE' | 'NOT_YOURS';
}

/** The answer. It holds keys: never logged, never cached. */
export type Disclosure =
  | {
      readonly outcome: 'shown';
      readonly auditSequence: bigint;
      readonly shownAtMs: number;
      /** One at least; several where passwords conflict or one key ID stands for several volumes. */
      readonly keys: readonly ShownKey[];
      readonly withheld: readonly WithheldKey[];
    }
  | {
      readonly outcome: 'refused';
      readonly refusal: DisclosureRefusal;
      /** What is wrong and what to do. */
      readonly detail: string;
      /** null with AUDIT_UNAVAILABLE. */
      readonly auditSequence: bigint | null;
    };
