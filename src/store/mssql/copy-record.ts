import { unfinishedCopy, type CopyRecord, type SiteState } from '../copy/record.js';
import { json, time, timeOrNull } from './columns.js';
import { textOf, timeOf } from './parameters.js';
import { firstRow, type Session } from './session.js';

/** What the database knows of a copy into it; null where none was begun. */
export async function readCopyRecord(session: Session): Promise<CopyRecord | null> {
  const row = firstRow(await session.query('SELECT SourceState, BeganAt, FinishedAt FROM MPE_StoreCopy;'));
  if (row === undefined) return null;
  return {
    state: json<SiteState>(row, 'SourceState'),
    beganAtMs: time(row, 'BeganAt'),
    finishedAtMs: timeOrNull(row, 'FinishedAt'),
  };
}

/** Marks the database as the target of a copy. */
export async function insertCopyRecord(session: Session, record: CopyRecord): Promise<void> {
  await session.query(
    'INSERT INTO MPE_StoreCopy (Id, SourceState, BeganAt, FinishedAt) VALUES (1, @state, @began, @finished);',
    {
      state: textOf(JSON.stringify(record.state)),
      began: timeOf(record.beganAtMs),
      finished: timeOf(record.finishedAtMs),
    },
  );
}

/** Opens the database for every other command. */
export async function finishCopyRecord(session: Session, atMs: number): Promise<void> {
  await session.query('UPDATE MPE_StoreCopy SET FinishedAt = @at WHERE FinishedAt IS NULL;', {
    at: timeOf(atMs),
  });
}

/**
 * Refuses a database that is half a site.
 *
 * @throws MpeError COPY_UNFINISHED
 */
export async function refuseUnfinishedCopy(session: Session): Promise<void> {
  const row = firstRow(await session.query('SELECT BeganAt FROM MPE_StoreCopy WHERE FinishedAt IS NULL;'));
  if (row !== undefined) throw unfinishedCopy(time(row, 'BeganAt'));
}
