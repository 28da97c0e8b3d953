import type { Guid } from '../protocol/guid.js';
import type { OtherManager, ProtectionState, VolumeType } from '../protocol/vocabulary.js';
import type { PolicyRow } from './rows.js';

/** What was done to a policy. */
export const POLICY_EVENTS = [
  'CREATED',
  'CHANGED',
  'DEPLOYED',
  'RETIRED',
  'RING_OPENED',
  'RING_PAUSED',
  'RING_RESUMED',
] as const;
export type PolicyEvent = (typeof POLICY_EVENTS)[number];

/** A change of a policy, one a revision. */
export interface PolicyEventRow {
  readonly policyId: Guid;
  readonly revision: number;
  readonly event: PolicyEvent;
  /** What changed, for people. */
  readonly detail: string;
  readonly atMs: number;
  /** A person, or the process that did it by itself. */
  readonly by: string;
}

/** How a ring fares since it was opened. */
export interface RingCounts {
  readonly policyId: Guid;
  readonly position: number;
  /** Registered machines with its tag, blocked ones and those merged away left out. */
  readonly machines: number;
  /** Of them, those that reported or sent a key since. */
  readonly heard: number;
  /** Of those: the last escrow was refused, the last rotation failed, or the machine reports an error. */
  readonly failed: number;
}

/** A client whose present keys a policy wants replaced. */
export interface MigrationCandidate {
  readonly clientId: Guid;
  readonly otherManagers: readonly OtherManager[];
  readonly keys: readonly { readonly volumeId: Guid; readonly keyId: Guid }[];
}

/** How a gateway is reached. */
export type ManagementPointChannel = 'HTTPS' | 'ENHANCED_HTTP' | 'HTTP';

/** A gateway, as it announced itself. */
export interface ManagementPointRow {
  /** Its configured name. */
  readonly id: string;
  readonly channel: ManagementPointChannel;
  readonly address: string;
  readonly firstSeenAtMs: number;
  readonly lastSeenAtMs: number;
}

/** A gateway that was seen so long ago is noted again; more often would only write. */
export const SEEN_EVERY_MS = 60_000;

/** A machine of the organisation's inventory. Names are hints. */
export interface DeviceRow {
  /** `domain\name` in lower case. */
  readonly deviceKey: string;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly tag: string;
}

/** What an import did. */
export interface DeviceImport {
  readonly added: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly removed: number;
}

/** A client as coverage counts it. */
export interface CoverageClient {
  readonly clientId: Guid;
  readonly state: 'ACTIVE' | 'BLOCKED' | 'PENDING';
  /** As it last called itself. */
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly tag: string;
  readonly registeredAtMs: number;
  /** Of its last check-in; null: none. */
  readonly checkedInAtMs: number | null;
  readonly otherManagers: readonly OtherManager[];
  readonly hasError: boolean;
  /** Its current epoch is flagged. */
  readonly cloned: boolean;
}

/** A volume of a client's current report. */
export interface CoverageVolume {
  readonly clientId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly protection: ProtectionState;
  readonly reportedAtMs: number;
  /** Of its current set: how many there are, and how many of them … */
  readonly keys: number;
  /** … this client has sent and the site can read. */
  readonly readable: number;
  /** … this client has sent and no stored copy opens. */
  readonly damaged: number;
  /** … were shown to somebody. */
  readonly exposed: number;
  /** … have an open rotation past its deadline. */
  readonly overdue: number;
}

/** Everything that coverage is counted from. */
export interface CoverageFacts {
  readonly devices: readonly DeviceRow[];
  /** Clients that were deleted or merged into another are left out. */
  readonly clients: readonly CoverageClient[];
  readonly volumes: readonly CoverageVolume[];
}

/** Policies, rings, management points, devices and coverage in the site database. */
export interface PolicyStore {
  /**
   * Writes a policy with its rings, as revision `policy.revision`, and the event of the same
   * revision, in one transaction. False where another change was first: read again.
   */
  save(policy: PolicyRow, event: Omit<PolicyEventRow, 'policyId' | 'revision'>): Promise<boolean>;
  /** What was done to a policy, the newest first. */
  events(policyId: Guid, limit: number): Promise<readonly PolicyEventRow[]>;
  /** Counts of every ring of the deployed policies. */
  ringCounts(): Promise<readonly RingCounts[]>;
  /**
   * Active clients with a tag that hold readable, unexposed keys of OS and fixed volumes which no
   * migration has reached yet (each volume once), at most `limit`, the longest registered first;
   * without `besideOthers` those alone that report no other manager.
   */
  migrationCandidates(
    tag: string,
    options: { readonly besideOthers: boolean; readonly limit: number },
  ): Promise<readonly MigrationCandidate[]>;
  /** Rotations that were asked for in a name since a time. */
  begunSince(requestedBy: string, sinceMs: number): Promise<number>;
  /** Gives a client another tag, so that other policies and rings apply to it. False: no such client. */
  setClientTag(clientId: Guid, tag: string): Promise<boolean>;
  /** Notes that gateways are there. Idempotent; a moment ago counts as now. */
  recordManagementPoints(
    points: readonly Omit<ManagementPointRow, 'firstSeenAtMs' | 'lastSeenAtMs'>[],
    atMs: number,
  ): Promise<void>;
  managementPoints(): Promise<readonly ManagementPointRow[]>;
  /** Adds or changes devices, all or none; `replace`: devices that are not among them go. */
  importDevices(
    rows: readonly DeviceRow[],
    options: { readonly replace: boolean; readonly atMs: number },
  ): Promise<DeviceImport>;
  /** The facts of coverage; a constant number of statements, or of pages. */
  coverage(nowMs: number): Promise<CoverageFacts>;
}
