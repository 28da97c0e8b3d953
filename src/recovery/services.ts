/**
 * What the portals' pages and the recovery API call: one interface, one implementation
 * (service/services.ts). A caller's right to an operation was checked by its route; relations
 * (own machine, named user) are checked in here, because only here the machine is known.
 *
 * No answer but {@link Disclosure} holds a key.
 */
import type { Guid } from '../protocol/guid.js';
import type { OtherManager, VolumeType } from '../protocol/vocabulary.js';
import type { Disclosure } from './disclosure/types.js';
import type { PolicyEventRow } from '../store/policy-store.js';
import type { PolicyRing } from '../store/rows.js';
import type { PolicySettingsInput } from './policy/settings.js';
import type { Person, Role } from './roles.js';
import type { RotationState } from './rotation/state.js';

/** Through what a request came; stands in the audit row. */
export type CallSource = 'Helpdesk' | 'Self-Service Portal' | 'Recovery API' | 'AdminService' | 'MBAM';

/** Who asks. */
export interface Caller {
  readonly person: Person;
  readonly source: CallSource;
  /** Network address of the person. */
  readonly address: string;
}

/** A user of a machine, as the machine names its local sign-ins. */
export interface EndUser {
  readonly domain: string;
  readonly account: string;
}

// --------------------------------------------------------------------------------------- search

/** What is searched. `digits`: as people type them, at least 8 hex digits, at most 32. */
export type KeyQuery =
  | { readonly by: 'key-id'; readonly digits: string }
  | { readonly by: 'machine'; readonly machine: string }
  | { readonly by: 'user'; readonly user: EndUser };

/** A machine that sent a key. */
export interface KeyHolder {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  /** The key is in the machine's current set of the volume. */
  readonly current: boolean;
  /** When the machine reported the volume without the key; null: current, or never reported. */
  readonly supersededAtMs: number | null;
  readonly reportedAtMs: number | null;
}

/** A key in a list: never its value. */
export interface KeyLine {
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  /** What the newest report says, e.g. `C:`. */
  readonly driveLabel: string;
  readonly firstStoredAtMs: number;
  readonly lastProvenAtMs: number;
  readonly hasPackage: boolean;
  readonly state: {
    /** On one machine at least. */
    readonly current: boolean;
    /** No machine has it any more: the last of their times. */
    readonly supersededAtMs: number | null;
    /** No machine's proof: nobody is known to hold it. */
    readonly unproven: boolean;
    /** Different passwords are stored for it. */
    readonly conflicting: boolean;
    /** No stored copy can be read. */
    readonly damaged: boolean;
    /** When it was shown the last time. */
    readonly exposedAtMs: number | null;
  };
  readonly holders: readonly KeyHolder[];
}

/** Why a search answers nothing. */
export type SearchRefusal =
  /** Domain and account of the user are demanded of this person. */
  | 'USER_REQUIRED'
  /** Fewer than 8 digits, more than 32, or other characters; or an empty name. */
  | 'QUERY_INVALID';

export type SearchAnswer =
  | {
      readonly found: 'keys';
      readonly keys: readonly KeyLine[];
      /** There are more. */ readonly more: boolean;
    }
  | { readonly found: 'refused'; readonly refusal: SearchRefusal; readonly detail: string };

/** A machine of a user, for self-service. */
export interface OwnMachine {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  readonly lastReportAtMs: number | null;
}

// ----------------------------------------------------------------------------------- disclosure

/** What is asked for. */
export interface KeyRequest {
  readonly kind: 'recovery-password' | 'key-package' | 'tpm-password-hash';
  /** 32 hex digits; of one's own machines 8 or more, where they are not ambiguous. */
  readonly keyId?: string;
  /** Where one key ID stands for several volumes. */
  readonly volumeId?: Guid;
  /** For `tpm-password-hash`, in place of a key ID: client id or name. */
  readonly machine?: string;
  /** One of {@link RecoveryServices.keys.reasons}, or a text of one's own where that list ends with `Other`. */
  readonly reason: string;
  readonly ticket?: string;
  /** Demanded of helpdesk users. */
  readonly endUser?: EndUser;
  /** The caller can show one value alone: where several are stored, none is shown. */
  readonly oneValue?: boolean;
}

/** What is shown, or why not; see src/recovery/disclosure/types.ts. */
export type { Disclosure, DisclosureRefusal, ShownKey, WithheldKey } from './disclosure/types.js';

// ------------------------------------------------------------------------------------ rotations

/** As design §7 names them. */
export type RotationStateName = RotationState;

export interface RotationLine {
  readonly requestId: Guid;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly machineName: string;
  readonly state: RotationState;
  /** What it waits for, or what went wrong, in a sentence. */
  readonly detail: string;
  readonly origin: string;
  readonly openedAtMs: number;
  readonly deadlineMs: number;
  readonly overdue: boolean;
  readonly closedAtMs: number | null;
  /** The key ID that took its place, once committed. */
  readonly newKeyId: Guid | null;
}

export interface RotationFilter {
  readonly keyId?: Guid;
  readonly machine?: string;
  readonly open?: boolean;
  readonly overdue?: boolean;
  readonly limit: number;
}

/** What an operator wants rotated: a volume, a machine, or a list of machines. */
export type RotationTarget =
  | { readonly volumeId: Guid }
  | { readonly clientId: Guid }
  | { readonly clientIds: readonly Guid[]; readonly perHour: number };

// ---------------------------------------------------------------------------- policy, machines

export interface PolicyLine {
  readonly policyId: Guid;
  readonly name: string;
  readonly mode: 'OBSERVE' | 'ESCROW' | 'MANAGE';
  readonly targetTag: string | null;
  readonly storePackages: boolean;
  readonly removableDrives: boolean;
  readonly tpmOwnerAuth: boolean;
  readonly checkIntervalMinutes: number;
  readonly mbamMigration: boolean;
}

/** A policy with everything of it. */
export interface PolicyDetail extends PolicyLine {
  readonly state: 'DRAFT' | 'DEPLOYED' | 'RETIRED';
  /** One more with each change. */
  readonly revision: number;
  readonly rotateBesideOthers: boolean;
  readonly rings: readonly PolicyRing[];
  readonly createdAtMs: number;
  readonly deployedAtMs: number | null;
  readonly retiredAtMs: number | null;
  /** What is allowed and still deserves a word, a sentence each. */
  readonly warnings: readonly string[];
}

/** What was done to a policy. */
export type PolicyHistoryLine = Omit<PolicyEventRow, 'policyId'>;

export interface RingLine {
  readonly ringId: string;
  readonly name: string;
  readonly order: number;
  readonly tag: string;
  readonly machines: number;
  readonly reached: number;
  readonly failed: number;
  /** Per cent above which the ring pauses by itself. */
  readonly failureLimit: number;
  readonly state: 'WAITING' | 'RUNNING' | 'PAUSED' | 'DONE';
  readonly detail: string;
}

/** What is done to a ring. */
export type RingChange = 'OPEN' | 'PAUSE' | 'RESUME';

export interface PendingClientLine {
  readonly clientId: Guid;
  readonly kid: string;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly firstAskedAtMs: number;
  readonly lastAskedAtMs: number;
  /** What an operator should look at, a sentence each. */
  readonly warnings: readonly string[];
}

export interface ManagementPointLine {
  readonly id: string;
  readonly channel: 'HTTPS' | 'ENHANCED_HTTP' | 'HTTP';
  readonly address: string;
  readonly firstSeenAtMs: number;
  readonly lastSeenAtMs: number;
  /** Whether it has the recovery service, and why not. */
  readonly service: boolean;
  readonly detail: string;
}

// --------------------------------------------------------------------------------------- reports

/** A row of the recovery audit report, in its published columns. */
export interface AuditLine {
  readonly sequence: string;
  readonly atMs: number;
  readonly source: string;
  readonly result: 'Successful' | 'Failed';
  readonly helpdeskUser: string;
  readonly endUser: string;
  readonly machine: string;
  readonly keyType: string;
  readonly keyId: string;
  readonly reason: string;
  readonly ticket: string;
  readonly detail: string;
}

export interface AuditFilter {
  /** Who asked, or whose machine it was; part of a name. */
  readonly user?: string;
  /** Without `user`: who asked, somebody of the helpdesk or an end user in self-service; with it, whose name it is. */
  readonly userType?: 'helpdesk' | 'end-user';
  readonly result?: 'Successful' | 'Failed';
  readonly keyType?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Rows before this sequence, for the next page. */
  readonly before?: string;
  readonly limit: number;
}

/** A number of the coverage report. */
export interface CoverageLine {
  /** Stable: `recoverable`, `never-contacted`, `encrypted-without-key`, … */
  readonly id: string;
  readonly label: string;
  readonly machines: number;
  /** Machines of it, at most a hundred. */
  readonly examples: readonly string[];
}

export interface CoverageReport {
  readonly atMs: number;
  /** Where nothing was imported: registered machines, and that is said. */
  readonly denominator: { readonly machines: number; readonly imported: boolean };
  /** Clients that are in no line because the import does not name them. */
  readonly unlisted: number;
  readonly lines: readonly CoverageLine[];
  /** Of the conflicts, how many each other manager has. */
  readonly managers: Readonly<Record<OtherManager, number>>;
}

export interface IncidentLine {
  readonly incidentId: Guid;
  readonly title: string;
  readonly state: 'PROPOSED' | 'OPEN' | 'ENDED';
  readonly proposedBy: string;
  readonly confirmedBy: string | null;
  readonly machines: number;
  readonly openedAtMs: number | null;
  readonly endsAtMs: number | null;
}

/** A local account as lists show it. */
export interface AccountLine {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly disabled: boolean;
  readonly lockedUntilMs: number | null;
  readonly createdAtMs: number;
  readonly lastSignInAtMs: number | null;
}

// ----------------------------------------------------------------------------------- everything

/**
 * Everything that pages and API can ask for.
 *
 * @throws MpeError STORE_TRANSIENT, STORE_FAILED from every call; VALUE_INVALID where a value breaks
 *   its rule; INTERNAL `not part of this release` where an area is not there
 */
export interface RecoveryServices {
  readonly keys: {
    /** `endUser`: whose machines alone are searched; demanded of helpdesk users. */
    search(caller: Caller, query: KeyQuery, endUser?: EndUser): Promise<SearchAnswer>;
    disclose(caller: Caller, request: KeyRequest): Promise<Disclosure>;
    /** Of the caller, by local sign-ins. */
    ownMachines(caller: Caller): Promise<readonly OwnMachine[]>;
    /** Keys of the caller's machines by 8 to 32 digits. */
    searchOwn(caller: Caller, digits: string): Promise<SearchAnswer>;
    /** Of the caller's machine; `keyId` may be 8 digits where they are not ambiguous. */
    discloseOwn(caller: Caller, request: KeyRequest): Promise<Disclosure>;
    /** The published lists, by what is asked for. */
    reasons(source: CallSource, kind: KeyRequest['kind']): readonly string[];
  };
  readonly rotations: {
    list(filter: RotationFilter): Promise<readonly RotationLine[]>;
    /** How the rotation of one key stands; null where there is none, or it is not the caller's to see. */
    watch(caller: Caller, requestId: Guid): Promise<RotationLine | null>;
    /** `deadlineMs`: how long after its turn each may take. */
    request(
      caller: Caller,
      target: RotationTarget,
      deadlineMs: number,
    ): Promise<{ readonly requested: number }>;
    abandon(caller: Caller, requestId: Guid, reason: string): Promise<void>;
  };
  readonly policies: {
    /** Those that are not retired. */
    list(): Promise<readonly PolicyDetail[]>;
    /** Retired ones too, with the newest of what was done; null: there is no such policy. */
    show(policyId: Guid): Promise<(PolicyDetail & { readonly history: readonly PolicyHistoryLine[] }) | null>;
    /** Makes a draft; what is not said is as the command line makes it. */
    create(caller: Caller, settings: PolicySettingsInput): Promise<PolicyDetail>;
    /** Null: there is no such policy. @throws MpeError POLICY_CHANGED: it is at another revision */
    change(
      caller: Caller,
      policyId: Guid,
      revision: number,
      settings: PolicySettingsInput,
    ): Promise<PolicyDetail | null>;
    /** As {@link change}; `revision` null: whatever it is at. */
    deploy(caller: Caller, policyId: Guid, revision: number | null): Promise<PolicyDetail | null>;
    retire(caller: Caller, policyId: Guid, revision: number | null): Promise<PolicyDetail | null>;
    rings(): Promise<readonly RingLine[]>;
    /** `reason`: why a ring pauses. */
    setRing(caller: Caller, ringId: string, change: RingChange, reason?: string): Promise<RingLine>;
  };
  readonly clients: {
    pending(limit: number): Promise<readonly PendingClientLine[]>;
    approve(caller: Caller, clientId: Guid, kid: string, tag: string): Promise<void>;
    reject(caller: Caller, clientId: Guid, kid: string): Promise<void>;
    managementPoints(): Promise<readonly ManagementPointLine[]>;
  };
  readonly reports: {
    audit(filter: AuditFilter): Promise<{ readonly lines: readonly AuditLine[]; readonly more: boolean }>;
    coverage(): Promise<CoverageReport>;
  };
  readonly incidents: {
    list(): Promise<readonly IncidentLine[]>;
    propose(
      caller: Caller,
      incident: { readonly title: string; readonly machines: readonly string[]; readonly hours: number },
    ): Promise<IncidentLine>;
    confirm(caller: Caller, incidentId: Guid): Promise<IncidentLine>;
    end(caller: Caller, incidentId: Guid): Promise<IncidentLine>;
  };
  readonly people: {
    list(): Promise<readonly AccountLine[]>;
    setDisabled(caller: Caller, name: string, disabled: boolean): Promise<void>;
  };
}
