import { PROTECTION_STATES, VOLUME_TYPES, type OtherManager } from '../../../protocol/vocabulary.js';
import { COVERAGE_COPIES, volumesOf } from '../../coverage-volumes.js';
import type { CoverageClient, CoverageFacts } from '../../policy-store.js';
import { flag, guid, integer, json, numbered, text, time, timeOrNull, word } from '../columns.js';
import type { Connection } from '../connection.js';
import { timeOf } from '../parameters.js';
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
const VOLUMES = `
  SELECT r.ClientId, r.VolumeId, r.VolumeType, r.Protection, r.ReportedAt,
    CASE WHEN j.KeyId IS NULL THEN 0 ELSE 1 + COALESCE(u.Copies, 0) END AS Copy,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.KeyId) THEN 1 ELSE 0 END AS Exposed,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_RotationRequests q WHERE q.VolumeId = r.VolumeId AND q.KeyId = j.KeyId
      AND q.ClosedAt IS NULL AND q.Deadline < @now) THEN 1 ELSE 0 END AS Overdue
  FROM MPE_Reports r OUTER APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') j
    OUTER APPLY (
      SELECT MAX(x.Copies) AS Copies FROM (
        SELECT CASE WHEN EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)
          THEN 2 ELSE 1 END AS Copies
        FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
        WHERE k.KeyId = j.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1) x) u
  ORDER BY r.ClientId, r.VolumeId`;

/** What coverage is counted from, in three statements whatever their number. */
export async function coverage(connection: Connection, nowMs: number): Promise<CoverageFacts> {
  const devices = await readDevices(connection);
  const clients = firstSet(await connection.query(CLIENTS)).map(clientFromRow);
  const shown = new Set(clients.map((client) => client.clientId));
  const rows = firstSet(await connection.query(VOLUMES, { now: timeOf(nowMs) }));
  const volumes = volumesOf(
    rows.map((row) => ({
      clientId: guid(row, 'ClientId'),
      volumeId: guid(row, 'VolumeId'),
      volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
      protection: numbered(row, 'Protection', PROTECTION_STATES),
      reportedAtMs: time(row, 'ReportedAt'),
      copy: numbered(row, 'Copy', COVERAGE_COPIES),
      exposed: flag(row, 'Exposed'),
      overdue: flag(row, 'Overdue'),
    })),
  );
  return { devices, clients, volumes: volumes.filter((volume) => shown.has(volume.clientId)) };
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
