import Database from 'better-sqlite3';
import { isMpeError, MpeError } from '../../ops/errors.js';

/**
 * Result codes after which the same work may succeed: someone else holds the lock, or the machine
 * is short of something that an operator gives back (disk, memory). Extended codes start with one
 * of these, e.g. SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_FSYNC.
 */
const TRANSIENT = [
  'SQLITE_BUSY',
  'SQLITE_LOCKED',
  'SQLITE_IOERR',
  'SQLITE_FULL',
  'SQLITE_NOMEM',
  'SQLITE_INTERRUPT',
  'SQLITE_CANTOPEN',
  'SQLITE_PROTOCOL',
];

const codeOf = (error: unknown): string => (error instanceof Database.SqliteError ? error.code : '');

/** Another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
}

/** The whole work may succeed later. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error);
  return TRANSIENT.some((known) => code.startsWith(known)) || isMpeError(error, 'STORE_TRANSIENT');
}

/** A row refers to one that is not there; SQLite does not say which. */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === 'SQLITE_CONSTRAINT_FOREIGNKEY';
}

/** A unique or primary key constraint of this table refused a row. */
export function isUniqueViolation(error: unknown, table: string): boolean {
  const code = codeOf(error);
  return (
    (code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === 'SQLITE_CONSTRAINT_UNIQUE') &&
    error instanceof Error &&
    error.message.includes(`${table}.`)
  );
}

/**
 * An error of the driver as one of ours. MpeErrors pass unchanged. The text names the result code
 * and SQLite's message, which names tables and columns, never values.
 */
export function toStoreError(error: unknown, doing: string): MpeError {
  if (isMpeError(error)) return error;
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : 'not an error';
  if (isTransient(error)) {
    return new MpeError('STORE_TRANSIENT', `${doing}: ${text} (${code})`, { cause: error, facts: { code } });
  }
  return new MpeError('STORE_FAILED', `${doing}: ${text}${code === '' ? '' : ` (${code})`}`, {
    cause: error,
    facts: { code },
  });
}
