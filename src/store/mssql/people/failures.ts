import type { FailureRow } from '../../people-store.js';
import { again } from '../again.js';
import { integer, text, time } from '../columns.js';
import { rowsOf, textOf, timeOf, type SqlParameter } from '../parameters.js';
import { firstSet, type Session, type SqlRow } from '../session.js';

// OPENJSON gives text in the database's collation.
const SUBJECTS = `(SELECT j.Subject COLLATE Latin1_General_BIN2 AS Subject
  FROM OPENJSON(@subjects) WITH (Subject nvarchar(300) '$.Subject') j)`;
const COLUMNS = 'f.Subject, f.Failures, f.LastAt, f.LockedUntil';

/** Counts one more for each subject; after `forgetMs` without one from 1 again. */
export async function countFailures(
  session: Session,
  subjects: readonly string[],
  atMs: number,
  forgetMs: number,
): Promise<FailureRow[]> {
  // Where a rival inserted the same subject first, nothing of the batch's insert is there: again counts
  // for the update a second time, which refuses sooner and never later.
  const sets = await again('counting a refused sign-in', () =>
    session.query(
      `UPDATE MPE_SignInFailures
       SET Failures = CASE WHEN LastAt < @forget THEN 1 ELSE Failures + 1 END, LastAt = @at
       WHERE Subject IN ${SUBJECTS};
       INSERT INTO MPE_SignInFailures (Subject, Failures, LastAt, LockedUntil)
       SELECT w.Subject, 1, @at, @never FROM ${SUBJECTS} w
       WHERE NOT EXISTS (SELECT 1 FROM MPE_SignInFailures f WHERE f.Subject = w.Subject);
       SELECT ${COLUMNS} FROM MPE_SignInFailures f WHERE f.Subject IN ${SUBJECTS};`,
      {
        subjects: subjectsOf(subjects),
        at: timeOf(atMs),
        forget: timeOf(Math.max(0, atMs - forgetMs)),
        never: timeOf(0),
      },
    ),
  );
  return firstSet(sets).map(failureOf);
}

/** Refuses a subject until then; only later times count. */
export async function lockUntil(session: Session, subject: string, untilMs: number): Promise<void> {
  await session.query(
    'UPDATE MPE_SignInFailures SET LockedUntil = @until WHERE Subject = @subject AND LockedUntil < @until',
    { subject: textOf(subject), until: timeOf(untilMs) },
  );
}

/** What is known of these. */
export async function readFailures(session: Session, subjects: readonly string[]): Promise<FailureRow[]> {
  const sets = await session.query(
    `SELECT ${COLUMNS} FROM MPE_SignInFailures f WHERE f.Subject IN ${SUBJECTS}`,
    { subjects: subjectsOf(subjects) },
  );
  return firstSet(sets).map(failureOf);
}

/** Forgets these. */
export async function clearFailures(session: Session, subjects: readonly string[]): Promise<void> {
  await session.query(`DELETE FROM MPE_SignInFailures WHERE Subject IN ${SUBJECTS}`, {
    subjects: subjectsOf(subjects),
  });
}

/** Forgets those whose last one was before, and that refuse nobody. */
export async function pruneFailures(session: Session, beforeMs: number): Promise<void> {
  await session.query('DELETE FROM MPE_SignInFailures WHERE LastAt < @before AND LockedUntil < @before', {
    before: timeOf(beforeMs),
  });
}

function subjectsOf(subjects: readonly string[]): SqlParameter {
  return rowsOf([...new Set(subjects)].map((subject) => ({ Subject: subject })));
}

function failureOf(row: SqlRow): FailureRow {
  return {
    subject: text(row, 'Subject'),
    failures: integer(row, 'Failures'),
    lastAtMs: time(row, 'LastAt'),
    lockedUntilMs: time(row, 'LockedUntil'),
  };
}
