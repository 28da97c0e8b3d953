/**
 * People who sign in to the recovery service. A namespace of SiteStore: `store.people`.
 *
 * Invariants every implementation keeps
 *  * No password, session token or second factor is stored: hashes of the first two, and the third
 *    sealed under a key of a password.
 *  * A count of refused sign-ins is never lost between two that fail at once.
 *  * A code of the second factor is used once.
 */
export interface AccountRow {
  /** As it was given; compared without case. */
  readonly name: string;
  readonly roles: readonly string[];
  readonly passwordHash: string;
  readonly disabled: boolean;
  /** One more with each change of roles, password or state. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly changedAtMs: number;
  readonly lastSignInAtMs: number | null;
}

/** What changes of an account; absent stays. */
export interface AccountChange {
  readonly roles?: readonly string[];
  readonly passwordHash?: string;
  readonly disabled?: boolean;
}

/** How somebody who has a session signed in. */
export type SessionSignIn = 'oidc' | 'local' | 'break-glass';
export type SessionPortal = 'helpdesk' | 'self-service';

export interface SessionRow {
  /** SHA-256 of the token. */
  readonly tokenHash: Uint8Array;
  readonly personName: string;
  readonly roles: readonly string[];
  readonly signIn: SessionSignIn;
  readonly portal: SessionPortal;
  /** Of the local account when it signed in; null for every other way. */
  readonly accountRevision: number | null;
  readonly noticeAccepted: boolean;
  readonly createdAtMs: number;
  readonly lastSeenAtMs: number;
  readonly endsAtMs: number;
}

/** A session with what its account and the break-glass account are now, in one look. */
export interface FoundSession {
  readonly session: SessionRow;
  /** null: there is no local account of this name. */
  readonly account: Pick<AccountRow, 'roles' | 'disabled' | 'revision'> | null;
  readonly armedUntilMs: number | null;
}

/** Refused sign-ins of an account or an address. */
export interface FailureRow {
  readonly subject: string;
  readonly failures: number;
  readonly lastAtMs: number;
  readonly lockedUntilMs: number;
}

export interface BreakGlassRow {
  readonly passwordHash: string;
  readonly sealedTotp: string;
  /** The newest time step that was used. */
  readonly lastStep: number;
  readonly armedUntilMs: number | null;
  readonly armedBy: string;
  readonly setAtMs: number;
}

/** See the top of this file. */
export interface PeopleStore {
  /** False where the name is taken. */
  addAccount(row: AccountRow): Promise<boolean>;
  findAccount(name: string): Promise<AccountRow | null>;
  /** By name. */
  listAccounts(): Promise<readonly AccountRow[]>;
  /** False where there is no such account. Its sessions are judged by the revision when they are used. */
  changeAccount(name: string, change: AccountChange, atMs: number): Promise<boolean>;
  noteSignIn(name: string, atMs: number): Promise<void>;

  addSession(row: SessionRow): Promise<void>;
  findSession(tokenHash: Uint8Array): Promise<FoundSession | null>;
  /** Only forwards. */
  touchSession(tokenHash: Uint8Array, atMs: number): Promise<void>;
  acceptNotice(tokenHash: Uint8Array): Promise<void>;
  endSession(tokenHash: Uint8Array): Promise<void>;
  endSessionsOf(name: string): Promise<void>;
  /** Removes what ended before. */
  pruneSessions(beforeMs: number): Promise<void>;

  /** Counts one more for each subject; after `forgetMs` without one the count begins anew. */
  countFailures(subjects: readonly string[], atMs: number, forgetMs: number): Promise<readonly FailureRow[]>;
  /** Refuses the subject until then; only later times count. */
  lockUntil(subject: string, untilMs: number): Promise<void>;
  readFailures(subjects: readonly string[]): Promise<readonly FailureRow[]>;
  clearFailures(subjects: readonly string[]): Promise<void>;
  pruneFailures(beforeMs: number): Promise<void>;

  readBreakGlass(): Promise<BreakGlassRow | null>;
  /** Sets password and second factor anew; it is not armed then. */
  setBreakGlass(row: Pick<BreakGlassRow, 'passwordHash' | 'sealedTotp' | 'setAtMs'>): Promise<void>;
  /** False where it was never set. */
  armBreakGlass(untilMs: number | null, by: string): Promise<boolean>;
  /** Marks a time step as used; false where it, or a later one, was. */
  useBreakGlassStep(step: number): Promise<boolean>;
}

/** How names of people are compared. */
export function personKey(name: string): string {
  return name.trim().toLowerCase();
}
