import type { FailureRow } from '../../people-store.js';
import { integer, text } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/** Counts one more for each subject, in one statement; after `forgetMs` without one from 1 again. */
export function countFailures(
  c: Connection,
  subjects: readonly string[],
  atMs: number,
  forgetMs: number,
): FailureRow[] {
  return c
    .all(
      `INSERT INTO MPE_SignInFailures (Subject, Failures, LastAt, LockedUntil)
       SELECT j.value, 1, ?2, 0 FROM json_each(?1) j WHERE 1
       ON CONFLICT (Subject) DO UPDATE SET
         Failures = CASE WHEN LastAt < ?2 - ?3 THEN 1 ELSE Failures + 1 END, LastAt = max(LastAt, ?2)
       RETURNING Subject, Failures, LastAt, LockedUntil`,
      JSON.stringify([...new Set(subjects)]),
      atMs,
      forgetMs,
    )
    .map(failureOf);
}

/** Refuses a subject until then; only later times count. */
export function lockUntil(c: Connection, subject: string, untilMs: number): void {
  c.run(
    'UPDATE MPE_SignInFailures SET LockedUntil = max(LockedUntil, ?) WHERE Subject = ?',
    untilMs,
    subject,
  );
}

/** What is known of these. */
export function readFailures(c: Connection, subjects: readonly string[]): FailureRow[] {
  return c
    .all(
      'SELECT * FROM MPE_SignInFailures WHERE Subject IN (SELECT value FROM json_each(?))',
      JSON.stringify(subjects),
    )
    .map(failureOf);
}

/** Forgets these. */
export function clearFailures(c: Connection, subjects: readonly string[]): void {
  c.run(
    'DELETE FROM MPE_SignInFailures WHERE Subject IN (SELECT value FROM json_each(?))',
    JSON.stringify(subjects),
  );
}

/** Forgets those whose last one was before, and that refuse nobody. */
export function pruneFailures(c: Connection, beforeMs: number): void {
  c.run('DELETE FROM MPE_SignInFailures WHERE LastAt < ? AND LockedUntil < ?', beforeMs, beforeMs);
}

function failureOf(row: SqlRow): FailureRow {
  return {
    subject: text(row, 'Subject'),
    failures: integer(row, 'Failures'),
    lastAtMs: integer(row, 'LastAt'),
    lockedUntilMs: integer(row, 'LockedUntil'),
  };
}
