import type { OtherManager } from '../../../protocol/vocabulary.js';
import { addVolumes, COVERAGE_BITS, coverageKey, type Counted } from '../../coverage-volumes.js';
import type { CoverageClient, CoverageFacts } from '../../policy-store.js';
import { guid, integer, json, text, time, timeOrNull, word } from '../columns.js';
import type { Connection } from '../connection.js';
import { rowsOf, timeOf } from '../parameters.js';
import { firstSet, type SqlRow } from '../session.js';
import { readDevices } from './devices.js';

/** The last of the events that take a client out of sight or bring it back says where it is. */
const IN_SIGHT = `COALESCE((SELECT TOP (1) e.Event FROM MPE_MachineEvents e
  WHERE e.ClientId = c.ClientId AND e.Event IN ('DELETED', 'RESTORED', 'MERGED')
  ORDER BY e.EventId DESC), 'RESTORED') = 'RESTORED'`;

const CLIENTS = `
  SELECT c.ClientId, c.State, c.HardwareId, c.Tag, c.RegisteredAt, s.ReportedAt, s.LastErrorCode,
    COALESCE(NULLIF(s.MachineName, N''), c.MachineName) AS MachineName,
    COALESCE(NULLIF(s.Domain, N''), c.Domain) AS Domain,
    COALESCE(s.OtherManagers, N'[]') AS OtherManagers,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_ClientFlags f WHERE f.ClientId = c.ClientId AND f.Epoch = c.Epoch)
      THEN 1 ELSE 0 END AS Cloned
  FROM MPE_Clients c LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
  WHERE ${IN_SIGHT}`;

/**
 * A key's copies are asked for once: 1 for what the client never sent, 2 where no copy opens, 3 where one does.
 * A password that cannot be read beside one that can is no damage.
 */
const FACTS = `r.VolumeType + ${COVERAGE_BITS.protection} * r.Protection
    + ${COVERAGE_BITS.copy} * CASE WHEN j.KeyId IS NULL THEN 0 ELSE 1 + COALESCE(u.Copies, 0) END
    + CASE WHEN EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.KeyId)
        THEN ${COVERAGE_BITS.exposed} ELSE 0 END
    + CASE WHEN EXISTS (SELECT 1 FROM MPE_RotationRequests q WHERE q.VolumeId = r.VolumeId AND q.KeyId = j.KeyId
        AND q.ClosedAt IS NULL AND q.Deadline < @now) THEN ${COVERAGE_BITS.overdue} ELSE 0 END`;

const VOLUMES = `
  SELECT r.ClientId, r.VolumeId, r.ReportedAt, ${FACTS} AS Facts
  FROM OPENJSON(@clients) WITH (ClientId uniqueidentifier '$.c') c JOIN MPE_Reports r ON r.ClientId = c.ClientId
    OUTER APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') j
    OUTER APPLY (
      SELECT MAX(x.Copies) AS Copies FROM (
        SELECT CASE WHEN EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)
          THEN 2 ELSE 1 END AS Copies
        FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
        WHERE k.KeyId = j.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1) x) u
  ORDER BY r.ClientId, r.VolumeId`;

/** Clients of one page: a statement ends long before any time-out, and its rows hold the event loop shortly. */
const PAGE = 1000;

/** What coverage is counted from; the volumes page by page. */
export async function coverage(connection: Connection, nowMs: number): Promise<CoverageFacts> {
  const devices = await readDevices(connection);
  const rows = firstSet(await connection.query(CLIENTS));
  const clients: CoverageClient[] = [];
  const volumes: Counted[] = [];
  for (let from = 0; from < rows.length; from += PAGE) {
    const page = rows.slice(from, from + PAGE).map(clientFromRow);
    for (const client of page) clients.push(client);
    const keys = firstSet(
      await connection.query(VOLUMES, {
        clients: rowsOf(page.map((client) => ({ c: client.clientId }))),
        now: timeOf(nowMs),
      }),
    );
    addVolumes(
      volumes,
      keys.map((row) =>
        coverageKey(
          guid(row, 'ClientId'),
          guid(row, 'VolumeId'),
          time(row, 'ReportedAt'),
          integer(row, 'Facts'),
        ),
      ),
    );
  }
  return { devices, clients, volumes };
}

function clientFromRow(row: SqlRow): CoverageClient {
  return {
    clientId: guid(row, 'ClientId'),
    state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    tag: text(row, 'Tag'),
    registeredAtMs: time(row, 'RegisteredAt'),
    checkedInAtMs: timeOrNull(row, 'ReportedAt'),
    otherManagers: json<OtherManager[]>(row, 'OtherManagers'),
    hasError: row['LastErrorCode'] !== null,
    cloned: integer(row, 'Cloned') === 1,
  };
}
