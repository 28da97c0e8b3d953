import type { Guid } from '../../../protocol/guid.js';
import type { RotationClosure } from '../../rotation-store.js';
import { again } from '../again.js';
import { guid } from '../columns.js';
import type { Connection } from '../connection.js';
import { jsonText, textOfJson } from '../json-text.js';
import { rowsOf, sqlTime } from '../parameters.js';
import { firstSet } from '../session.js';

/**
 * Closes requests that are still open in the round in which their evidence was read. The condition is in
 * the UPDATE itself: an exposure that comes first has raised the round, one that comes later finds the
 * request closed and opens another. Where the answer of COMMIT was lost, those that this call closed are
 * told by their time and name.
 */
export async function close(connection: Connection, closures: readonly RotationClosure[]): Promise<Guid[]> {
  if (closures.length === 0) return [];
  const parameters = {
    closures: rowsOf(
      closures.map(({ requestId, round, as, by, reason, atMs }) => ({
        ...{ RequestId: requestId, Round: round, ClosedAs: as, ClosedAt: sqlTime(atMs) },
        ...{ ClosedBy: jsonText(by), CloseReason: jsonText(reason) },
      })),
    ),
  };
  const closed = await again('closing rotations', () =>
    connection.transaction((tx) => tx.query(BATCH, parameters)),
  );
  return firstSet(closed).map((row) => guid(row, 'RequestId'));
}

const CLOSURES = `OPENJSON(@closures) WITH (RequestId uniqueidentifier '$.RequestId', Round int '$.Round',
    ClosedAs varchar(64) '$.ClosedAs', ClosedAt datetime2(3) '$.ClosedAt', ClosedBy nvarchar(max) '$.ClosedBy',
    CloseReason nvarchar(max) '$.CloseReason') j`;

const BATCH = `
  UPDATE t SET ClosedAs = j.ClosedAs, ClosedAt = j.ClosedAt, ClosedBy = ${textOfJson('j.ClosedBy')},
    CloseReason = ${textOfJson('j.CloseReason')}
  FROM MPE_RotationRequests t JOIN ${CLOSURES} ON t.RequestId = j.RequestId
  WHERE t.ClosedAt IS NULL AND (j.Round IS NULL OR t.Round = j.Round);

  SELECT t.RequestId FROM MPE_RotationRequests t JOIN ${CLOSURES} ON t.RequestId = j.RequestId
  WHERE t.ClosedAt = j.ClosedAt AND t.ClosedAs = j.ClosedAs COLLATE Latin1_General_BIN2
    AND t.ClosedBy = ${textOfJson('j.ClosedBy')};`;
