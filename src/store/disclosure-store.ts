/**
 * What disclosure, audit and incidents need of the site database. A namespace of {@link SiteStore}:
 * `store.disclosure`.
 *
 * Invariants every implementation keeps (design R3, R4)
 *  * `writeAudit` is one durable transaction: the head of the chain moves first, which puts all writers
 *    in a row; then the limit is counted, then audit row, exposures, their ranks and the rotation
 *    requests are written. All of it or none.
 *  * It ends within the time that the caller gives, whatever holds the head's row: `STORE_TRANSIENT`.
 *    Where the answer of COMMIT is lost it may have been done all the same: `findAudit` tells.
 *  * Only proofs connect a client with a key: ranks are recorded and rotations requested for clients
 *    that sent a secret of the key, never for those that name a key ID. Each exposure raises the round
 *    of the open requests of its volume, see rotation-store.ts.
 */
import type { Guid } from '../protocol/guid.js';
import type { VolumeType } from '../protocol/vocabulary.js';
import type { SecretForm, SecretIdentity } from '../secrets/types.js';
import type { AuditEntry, AuditHead, AuditRow } from './audit-row.js';

export * from './audit-row.js';

/** A stored generation of a secret. */
export interface StoredGeneration {
  readonly generation: number;
  readonly content: SecretForm;
  /** Marked, or plain text on a site that has a certificate since. */
  readonly healthy: boolean;
  readonly storedAtMs: number;
}

/** A client that sent a secret: its proof. */
export interface SecretHolder {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  readonly provenAtMs: number;
  /** The key ID is in the client's current set of the volume. */
  readonly current: boolean;
  /** Of the client's report of the volume; null: none. */
  readonly reportedAtMs: number | null;
  readonly driveLabel: string;
  readonly volumeType: VolumeType;
  /** Who signed in locally, by its last check-in. */
  readonly users: readonly { readonly domain: string; readonly name: string }[];
}

/** A secret that may be shown, sealed as it is stored. */
export interface DisclosableSecret {
  readonly identity: SecretIdentity;
  readonly firstStoredAtMs: number;
  /** By the newest report of the volume. */
  readonly volumeType: VolumeType;
  /** The newest first. */
  readonly generations: readonly StoredGeneration[];
  /** The newest proof first. */
  readonly holders: readonly SecretHolder[];
  /** When the key ID was shown the last time; null: never. */
  readonly exposedAtMs: number | null;
}

/** Why a rotation is asked for, in `MPE_RotationRequests.Origin`. */
export type ExposureOrigin = 'DISCLOSURE' | 'INCIDENT';

/** A key that is shown: what is recorded of it. */
export interface ExposureWrite {
  readonly exposureId: Guid;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  /** A rotation is requested where a client that sent the key has it in its current set. */
  readonly rotation: {
    /** Used where no request for (volume, key) is open; an open one gets the earlier times. */
    readonly requestId: Guid;
    readonly deadlineMs: number;
    readonly notBeforeMs: number;
    readonly origin: ExposureOrigin;
  };
}

/** An audit row and what goes with it. */
export interface AuditWrite {
  readonly entry: AuditEntry;
  readonly exposures: readonly ExposureWrite[];
  /**
   * Refused where the actor's successful requests for keys since `sinceMs` are `most` already. They are
   * counted while no other can be written.
   */
  readonly limit: { readonly sinceMs: number; readonly most: number } | null;
  /** How long all of it may take. */
  readonly withinMs: number;
}

/** What became of an {@link AuditWrite}. */
export type AuditWritten =
  | {
      readonly kind: 'written';
      readonly sequence: bigint;
      readonly hash: Uint8Array;
      /** Requests that are open now for the exposed keys. */
      readonly rotations: readonly {
        readonly keyId: Guid;
        readonly volumeId: Guid;
        readonly requestId: Guid;
      }[];
    }
  /** Nothing was written. */
  | { readonly kind: 'limited'; readonly shown: number };

/** Which rows of the audit. Texts are compared without case, as parts. */
export interface AuditFilter {
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly result?: 'Successful' | 'Failed';
  readonly source?: string;
  readonly keyType?: string;
  /** Part of the helpdesk user's name, the end user's, or (`any`) one of both. */
  readonly user?: { readonly kind: 'any' | 'helpdesk' | 'end-user'; readonly part: string };
  /** Who asked: somebody of the helpdesk, or an end user in self-service. */
  readonly askedBy?: 'helpdesk' | 'end-user';
  readonly keyId?: string;
  readonly machine?: string;
  /** Rows below this sequence, for the next page. */
  readonly before?: bigint;
}

/** An incident. */
export interface IncidentRow {
  readonly incidentId: Guid;
  readonly title: string;
  readonly lastsMinutes: number;
  readonly rotationsPerHour: number;
  readonly proposedBy: string;
  readonly proposedAtMs: number;
  readonly confirmedBy: string | null;
  readonly confirmedAtMs: number | null;
  readonly endsAtMs: number | null;
  readonly endedBy: string | null;
  readonly endedAtMs: number | null;
  readonly machines: readonly Guid[];
}

/** A key in the current set of a machine that sent it. */
export interface CurrentKey {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  readonly volumeId: Guid;
  readonly keyId: Guid;
  /** When the site had it from this machine first. */
  readonly provenAtMs: number;
}

/** See the top of this file. */
export interface DisclosureStore {
  /** Every secret of a key ID (recovery passwords and packages), whoever sent it. */
  readKey(keyId: Guid): Promise<readonly DisclosableSecret[]>;
  /** Every TPM owner authorization that a client sent, the newest first. */
  readOwnerAuths(clientId: Guid): Promise<readonly DisclosableSecret[]>;
  /** Clients of this name, with or without `DOMAIN\`, whatever the case; at most ten. */
  findMachines(name: string): Promise<readonly Guid[]>;
  /** Whether a key of the volume was shown to somebody, who is named as by `personKey`. */
  wasShownTo(actor: string, keyId: Guid, volumeId: Guid): Promise<boolean>;
  /** Keys in the current sets of these clients which they sent, by client and volume. */
  currentKeys(clientIds: readonly Guid[]): Promise<readonly CurrentKey[]>;

  /** See the top of this file. @throws MpeError STORE_TRANSIENT, STORE_FAILED */
  writeAudit(write: AuditWrite): Promise<AuditWritten>;
  /** The row of a request; null: nothing of it was written. */
  findAudit(requestId: Guid): Promise<AuditRow | null>;
  auditHead(): Promise<AuditHead>;
  /** At most `limit` rows after a sequence, in order. */
  auditAfter(sequence: bigint, limit: number): Promise<readonly AuditRow[]>;
  /** At most `limit` rows, the newest first. */
  searchAudit(filter: AuditFilter, limit: number): Promise<readonly AuditRow[]>;
  /** How far a sink has come; 0n: nowhere. */
  readSink(sinkId: string): Promise<bigint>;
  /** Only forwards. */
  saveSink(sinkId: string, sequence: bigint, atMs: number): Promise<void>;

  /** Writes the audit row and the incident together. */
  proposeIncident(incident: IncidentRow, audit: AuditWrite): Promise<AuditWritten>;
  /** Confirms, with the audit row, one that waits for it and that somebody else proposed; null: it does not. */
  confirmIncident(
    incidentId: Guid,
    confirmation: { readonly by: string; readonly atMs: number; readonly endsAtMs: number },
    audit: AuditWrite,
  ): Promise<AuditWritten | null>;
  /** Ends one that has not ended, with the audit row; null: it has, or there is none. */
  endIncident(
    incidentId: Guid,
    end: { readonly by: string; readonly atMs: number },
    audit: AuditWrite,
  ): Promise<AuditWritten | null>;
  readIncident(incidentId: Guid): Promise<IncidentRow | null>;
  /** The newest first. */
  readIncidents(limit: number): Promise<readonly IncidentRow[]>;
  /** Those that are confirmed and not over at `atMs`. */
  openIncidents(atMs: number): Promise<readonly Guid[]>;
  /** Those of the clients that are in an incident which is confirmed and not over at `atMs`. */
  inIncident(clientIds: readonly Guid[], atMs: number): Promise<readonly Guid[]>;
}
