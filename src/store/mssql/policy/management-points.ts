import { SEEN_EVERY_MS, type ManagementPointRow } from '../../policy-store.js';
import { again } from '../again.js';
import { text, time, word } from '../columns.js';
import type { Connection } from '../connection.js';
import { jsonText, textOfJson } from '../json-text.js';
import { rowsOf, timeOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

const POINTS = `OPENJSON(@points) WITH (Id nvarchar(512) '$.Id', Channel varchar(64) '$.Channel',
  Address nvarchar(2048) '$.Address') j`;
const [ID, ADDRESS] = ['Id', 'Address'].map((column) => textOfJson(`j.${column}`));

/** Notes that gateways are there; one that was seen a moment ago as it is now costs no write. */
export async function recordManagementPoints(
  connection: Connection,
  points: readonly Omit<ManagementPointRow, 'firstSeenAtMs' | 'lastSeenAtMs'>[],
  atMs: number,
): Promise<void> {
  if (points.length === 0) return;
  const parameters = {
    points: rowsOf(
      points.map((one) => ({ Id: jsonText(one.id), Channel: one.channel, Address: jsonText(one.address) })),
    ),
    at: timeOf(atMs),
    before: timeOf(atMs - SEEN_EVERY_MS),
  };
  await again('noting management points', () =>
    connection.query(
      `UPDATE m SET Channel = j.Channel, Address = ${ADDRESS}, LastSeenAt = @at
       FROM MPE_ManagementPoints m JOIN ${POINTS} ON ${ID} = m.ManagementPointId
       WHERE m.LastSeenAt <= @at AND (m.LastSeenAt <= @before OR m.Channel <> j.Channel COLLATE Latin1_General_BIN2 OR m.Address COLLATE Latin1_General_BIN2 <> ${ADDRESS});
       INSERT INTO MPE_ManagementPoints (ManagementPointId, Channel, Address, FirstSeenAt, LastSeenAt)
       SELECT ${ID}, j.Channel, ${ADDRESS}, @at, @at FROM ${POINTS}
       WHERE NOT EXISTS (SELECT 1 FROM MPE_ManagementPoints m WHERE m.ManagementPointId = ${ID});`,
      parameters,
    ),
  );
}

/** Every gateway that was ever seen, by name. */
export async function managementPoints(session: Session): Promise<ManagementPointRow[]> {
  const sets = await session.query(
    `SELECT ManagementPointId, Channel, Address, FirstSeenAt, LastSeenAt FROM MPE_ManagementPoints
     ORDER BY ManagementPointId`,
  );
  return firstSet(sets).map((row) => ({
    id: text(row, 'ManagementPointId'),
    channel: word(row, 'Channel', ['HTTPS', 'ENHANCED_HTTP', 'HTTP'] as const),
    address: text(row, 'Address'),
    firstSeenAtMs: time(row, 'FirstSeenAt'),
    lastSeenAtMs: time(row, 'LastSeenAt'),
  }));
}
