import { unfinishedCopy, type CopyRecord, type SiteState } from '../copy/record.js';
import { integer, integerOrNull, json } from './columns.js';
import type { Connection } from './connection.js';

/** What the database knows of a copy into it; null where none was begun. */
export function readCopyRecord(c: Connection): CopyRecord | null {
  const row = c.get('SELECT SourceState, BeganAt, FinishedAt FROM MPE_StoreCopy');
  if (row === undefined) return null;
  return {
    state: json<SiteState>(row, 'SourceState'),
    beganAtMs: integer(row, 'BeganAt'),
    finishedAtMs: integerOrNull(row, 'FinishedAt'),
  };
}

/** Marks the database as the target of a copy. */
export function insertCopyRecord(c: Connection, record: CopyRecord): void {
  c.run(
    'INSERT INTO MPE_StoreCopy (Id, SourceState, BeganAt, FinishedAt) VALUES (1, ?, ?, ?)',
    JSON.stringify(record.state),
    record.beganAtMs,
    record.finishedAtMs,
  );
}

/** Opens the database for every other command. */
export function finishCopyRecord(c: Connection, atMs: number): void {
  c.run('UPDATE MPE_StoreCopy SET FinishedAt = ? WHERE FinishedAt IS NULL', atMs);
}

/**
 * Refuses a database that is half a site.
 *
 * @throws MpeError COPY_UNFINISHED
 */
export function refuseUnfinishedCopy(c: Connection): void {
  // A database that is only read may be of a release before this table.
  if (c.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'MPE_StoreCopy'") === undefined)
    return;
  const row = c.get('SELECT BeganAt FROM MPE_StoreCopy WHERE FinishedAt IS NULL');
  if (row !== undefined) throw unfinishedCopy(integer(row, 'BeganAt'));
}
