/**
 * Every error that mpe throws on purpose: one class, one literal code each, one catalogue.
 *
 * A code is stable: it stands in logs, in problem details and in documents. `retryable` says
 * whether the same call may succeed later without anybody changing anything. `detail` is written
 * for the person who reads it and never holds a secret; `cause` is for the operator's log only.
 */

/** One line of the catalogue. */
interface ErrorKind {
  readonly retryable: boolean;
}

/** All codes. Add a line here before throwing a new one. */
export const ERROR_CATALOGUE = {
  /** A variable of the environment is unknown or has a bad value. */
  CONFIG_INVALID: { retryable: false },
  /** A command line option or argument is wrong. */
  USAGE: { retryable: false },
  /** The key folder is missing, empty, foreign or readable by others. */
  KEY_FOLDER_INVALID: { retryable: false },
  /** The store holds no site, or another site than the key folder names. */
  SITE_MISMATCH: { retryable: false },
  /** `site init` found a site already. */
  SITE_EXISTS: { retryable: false },
  /** Redis' settings could lose or evict accepted messages. */
  REDIS_UNSAFE: { retryable: false },
  /** Redis does not answer in time or refuses writes. */
  QUEUE_UNAVAILABLE: { retryable: true },
  /** The queue is at its high-water mark. */
  QUEUE_FULL: { retryable: true },
  /** A token is not the exact JOSE form that its place demands, or does not open or verify. */
  CANNOT_OPEN: { retryable: false },
  /** A token names a key that the key set does not hold. */
  KID_UNKNOWN: { retryable: false },
  /** Bytes are not the protobuf message that they should be. */
  MALFORMED: { retryable: false },
  /** A value breaks its published rule (recovery password, GUID, owner authorization, package). */
  VALUE_INVALID: { retryable: false },
  /** The database is busy, deadlocked, away or timed out: roll back and try again. */
  STORE_TRANSIENT: { retryable: true },
  /** The database refused for good. */
  STORE_FAILED: { retryable: false },
  /** The schema is missing, or newer than this release and marked breaking. */
  SCHEMA_MISMATCH: { retryable: false },
  /** The database does not promise durability. */
  STORE_NOT_DURABLE: { retryable: false },
  /** The database is the target of a copy that has not finished. */
  COPY_UNFINISHED: { retryable: false },
  /** A copy has no empty target, or its source is not what it was when the copy began. */
  COPY_REFUSED: { retryable: false },
  /** The certificate of this host is missing, or opens no data key of the database. */
  CERTIFICATE_UNUSABLE: { retryable: false },
  /** A file is no backup of a key folder, is damaged, or was made by a newer release. */
  BACKUP_INVALID: { retryable: false },
  /** The password does not open the backup. */
  BACKUP_PASSWORD: { retryable: false },
  /** A backup would replace another one, or be restored over other keys. */
  BACKUP_REFUSED: { retryable: false },
  /** A stored secret does not open: wrong key, damaged or swapped ciphertext. */
  SECRET_UNREADABLE: { retryable: false },
  /** The audit row cannot be written now, so that what it should say is not done either. */
  AUDIT_UNAVAILABLE: { retryable: true },
  /** A policy is not at the revision any more that a change was made for. */
  POLICY_CHANGED: { retryable: false },
  /** A signed checkpoint of the audit, or the audit itself, is not what it should be. */
  AUDIT_BROKEN: { retryable: false },
  /** A server cannot be reached or does not answer in time. */
  UNREACHABLE: { retryable: true },
  /** A server answered with an HTTP problem. */
  HTTP_PROBLEM: { retryable: false },
  /** A reply or site document is not authentic. */
  NOT_AUTHENTIC: { retryable: false },
  /** The site refused to register a client. */
  REGISTRATION_REFUSED: { retryable: false },
  /** A client's state file is missing, unreadable or could not be written. */
  STATE_INVALID: { retryable: false },
  /** Another process uses the client's state file. */
  STATE_LOCKED: { retryable: false },
  /** A fixture file is wrong. */
  FIXTURE_INVALID: { retryable: false },
  /** Something that cannot happen did. */
  INTERNAL: { retryable: false },
} as const satisfies Record<string, ErrorKind>;

/** A code of {@link ERROR_CATALOGUE}. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** What an {@link MpeError} may carry beside its text. */
export interface MpeErrorOptions {
  /** The error below, for the operator's log. */
  readonly cause?: unknown;
  /** Facts for machines: numbers, names, never content. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
}

/** The one error class. */
export class MpeError extends Error {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, detail: string, options: MpeErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MpeError';
    this.code = code;
    this.facts = options.facts ?? {};
  }

  /** Whether the same call may succeed later by itself. */
  get retryable(): boolean {
    return ERROR_CATALOGUE[this.code].retryable;
  }
}

/** Narrows to an {@link MpeError}, of one code where given. */
export function isMpeError(error: unknown, code?: ErrorCode): error is MpeError {
  return error instanceof MpeError && (code === undefined || error.code === code);
}

/** Marks an unreachable branch of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new MpeError('INTERNAL', `unexpected value ${JSON.stringify(value)}`);
}
