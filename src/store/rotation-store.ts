/**
 * What rotation needs of the site database. A namespace of {@link SiteStore}: `store.rotation`.
 *
 * Rotation follows evidence (design §7): a request holds no state beyond open and closed; the state
 * is worked out from what clients sent, by `src/recovery/rotation/state.ts`.
 *
 * Invariants every implementation keeps (design R3, R5)
 *  * At most one request is open for a (volume, key ID).
 *  * Each exposure of a key of a volume raises the round of every open request of that volume, in
 *    the exposure's own transaction. A request is closed only in the round in which its evidence was
 *    read, so that of a disclosure and a closing in the same instant one waits for the other, and no
 *    exposure is ever closed away by evidence from before it.
 *  * A request that is closed stays closed. What is needed anew gets a new request.
 *  * Ranks are compared as (epoch, sequence) within one client. The times of two hosts decide nothing
 *    but what {@link RotationStore.returned} says.
 */
import type { Guid } from '../protocol/guid.js';
import type { ProtectionState, RotationOutcome, VolumeType } from '../protocol/vocabulary.js';
import type { RotationOrigin } from './may-rotate.js';

export type { RotationOrigin } from './may-rotate.js';

/** Why a rotation was asked for, in the order of the schema's check. */
export const ROTATION_ORIGINS = [
  'DISCLOSURE',
  'OPERATOR',
  'MIGRATION',
  'INCIDENT',
  'POLICY',
] as const satisfies readonly RotationOrigin[];

/** The origin that the cause of an exposure names; what has none was shown to somebody. */
export const originOf = (cause: string): RotationOrigin =>
  ROTATION_ORIGINS.find((origin) => origin === cause) ?? 'DISCLOSURE';

/** How a request may end. */
export const ROTATION_CLOSINGS = ['COMPLETED', 'REPLACED', 'ABANDONED'] as const;
export type RotationClosing = (typeof ROTATION_CLOSINGS)[number];

/** That a key was shown, or counts as shown, at a moment. */
export interface ExposureFact {
  readonly exposureId: Guid;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly cause: RotationOrigin;
  /** Who saw it or said so; '' for what no person did. */
  readonly actor: string;
  readonly auditSequence: bigint | null;
  readonly atMs: number;
}

/** A rotation to ask for. Where a request for (volume, key ID) is open, it gets the earlier times. */
export interface RotationOpening {
  readonly requestId: Guid;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly origin: RotationOrigin;
  readonly requestedBy: string;
  readonly deadlineMs: number;
  /** No client is told before this. */
  readonly notBeforeMs: number;
  readonly atMs: number;
  /**
   * Opened although no client that sent the key has it in its current set. Else nothing is opened
   * then: there is nothing to rotate.
   */
  readonly evenAbsent: boolean;
}

/** An opening with its exposure, for {@link RotationStore.open}. */
export interface RotationDemand extends RotationOpening {
  /** The request's exposure; the same id as before writes none. */
  readonly exposureId: Guid;
}

/** What became of an opening. */
export interface RotationOpened {
  readonly volumeId: Guid;
  readonly keyId: Guid;
  /** The open request; null: the key is in no current set. */
  readonly requestId: Guid | null;
  /** Whether the request is a new one. */
  readonly opened: boolean;
}

/** A request as it is stored. */
export interface RotationRecord {
  readonly requestId: Guid;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly origin: RotationOrigin;
  readonly requestedBy: string;
  readonly openedAtMs: number;
  readonly deadlineMs: number;
  readonly notBeforeMs: number;
  /** One more with each exposure of a key of the volume while it is open, from 1. */
  readonly round: number;
  readonly closedAs: RotationClosing | null;
  readonly closedAtMs: number | null;
  readonly closedBy: string;
  readonly closeReason: string;
}

/** A place in the order of one client's messages. */
export interface Place {
  readonly epoch: number;
  readonly sequence: bigint;
}

/** A client that proved the key. One row for each password that it sent under the key ID. */
export interface RotationHolder {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  /** Hex id of the secret that it proved. */
  readonly secretId: string;
  /** Of that proof. */
  readonly proven: Place;
  /** The client's highest place at the last exposure of the key; null: it proved the key after that. */
  readonly baseline: Place | null;
  /** Its current report of the volume; null: none. */
  readonly report:
    | (Place & {
        readonly reportedAtMs: number;
        readonly volumeType: VolumeType;
        readonly protection: ProtectionState;
        readonly keyIds: readonly Guid[];
      })
    | null;
  /** It reports another OS volume in an epoch above that of this report. */
  readonly newerOsVolume: boolean;
}

/** A key ID of the request's volume, the key itself left out. */
export interface RotationVolumeKey {
  readonly keyId: Guid;
  /** The site can read a password of it. */
  readonly readable: boolean;
  /** It was ever exposed, on whatever volume. */
  readonly exposed: boolean;
  readonly firstStoredAtMs: number;
  /** Who sent it, and when first. */
  readonly proofs: readonly (Place & { readonly clientId: Guid })[];
}

/** What a client claimed by a RotationResult. */
export interface RotationClaim extends Place {
  readonly clientId: Guid;
  readonly outcome: RotationOutcome;
  readonly errorCode: bigint | null;
  readonly errorText: string | null;
  readonly newKeyId: Guid | null;
  readonly reportedAtMs: number;
}

/** A request with everything that its state is worked out from. */
export interface RotationFacts {
  readonly request: RotationRecord;
  /** When the key was last exposed; null: by no row. */
  readonly exposedAtMs: number | null;
  readonly holders: readonly RotationHolder[];
  readonly keys: readonly RotationVolumeKey[];
  /** Replies of the present round that carried the command, one a client. */
  readonly deliveries: readonly { readonly clientId: Guid; readonly atMs: number }[];
  /** Oldest first. */
  readonly claims: readonly RotationClaim[];
}

/** Which requests. */
export interface RotationFilter {
  readonly open: boolean;
  readonly volumeId?: Guid;
  readonly keyId?: Guid;
  /** Of keys that this client proved. */
  readonly clientId?: Guid;
  /** Whose deadline is before this. */
  readonly dueBeforeMs?: number;
}

/** A place in the list: open requests by deadline, closed ones by the time of closing, newest first. */
export interface RotationPosition {
  readonly atMs: number;
  readonly requestId: Guid;
}

/** A request to close in the round in which its evidence was read. */
export interface RotationClosure {
  readonly requestId: Guid;
  /** null: whatever the round (an operator's decision). */
  readonly round: number | null;
  readonly as: RotationClosing;
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}

/** A key in the current set of a client that proved it. */
export interface PresentKey {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  readonly volumeType: VolumeType;
}

/** An exposed key that is in a current set again while no request is open for it. */
export interface ReturnedKey {
  readonly volumeId: Guid;
  readonly keyId: Guid;
  /** Why it was exposed. */
  readonly cause: RotationOrigin;
}

/** A place in the order of exposures. */
export interface ExposurePosition {
  readonly atMs: number;
  readonly exposureId: Guid;
}

/** See the top of this file. */
export interface RotationStore {
  /** Marks keys as exposed and asks for their rotation, in one transaction. Same order as given. */
  open(demands: readonly RotationDemand[]): Promise<readonly RotationOpened[]>;
  /** At most `limit` requests with their evidence, after a place of the list. */
  page(
    filter: RotationFilter,
    after: RotationPosition | null,
    limit: number,
  ): Promise<readonly RotationFacts[]>;
  find(requestId: Guid): Promise<RotationFacts | null>;
  /** Closes what is still open in its round; the ids of those that it closed. */
  close(closures: readonly RotationClosure[]): Promise<readonly Guid[]>;
  /** Keys that are present at a client or on a volume, by volume and key ID. */
  presentKeys(of: { readonly volumeId: Guid } | { readonly clientId: Guid }): Promise<readonly PresentKey[]>;
  /**
   * Walks the exposures in the order of their times, `limit` at a time. Finds the keys that a client
   * which proved them reports after the exposure and after the last request for them was closed, while
   * none is open. What an operator abandoned stays so until the key is exposed again.
   */
  returned(
    after: ExposurePosition | null,
    limit: number,
  ): Promise<{ readonly keys: readonly ReturnedKey[]; readonly next: ExposurePosition | null }>;
}
