import type { Guid } from '../../../protocol/guid.js';
import { PROTECTION_STATES, VOLUME_TYPES, type OtherManager } from '../../../protocol/vocabulary.js';
import { volumesOf } from '../../coverage-volumes.js';
import type { CoverageClient, CoverageVolume } from '../../policy-store.js';
import { flag, guid, integer, integerOrNull, numbered, text, word } from '../columns.js';
import type { Connection } from '../connection.js';

/** Clients of one page; a page holds the event loop for some milliseconds. */
export const COVERAGE_PAGE = 500;

/** Some clients in the order of their ids, with their volumes. */
export interface CoveragePage {
  readonly clients: CoverageClient[];
  readonly volumes: CoverageVolume[];
  /** Where the next page begins; null: there is none. */
  readonly next: Guid | null;
}

/** A page of clients after a client id. */
export function coveragePage(c: Connection, after: Guid | '', nowMs: number): CoveragePage {
  return c.snapshot(() => {
    const ids = c
      .all(
        'SELECT ClientId FROM MPE_Clients WHERE ClientId > ? ORDER BY ClientId LIMIT ?',
        after,
        COVERAGE_PAGE,
      )
      .map((row) => guid(row, 'ClientId'));
    const last = ids.at(-1);
    if (last === undefined) return { clients: [], volumes: [], next: null };
    const clients = clientsUntil(c, after, last);
    const shown = new Set(clients.map((client) => client.clientId));
    const volumes = volumesUntil(c, after, last, nowMs).filter((volume) => shown.has(volume.clientId));
    return { clients, volumes, next: ids.length < COVERAGE_PAGE ? null : last };
  });
}

function clientsUntil(c: Connection, after: string, last: string): CoverageClient[] {
  return c
    .all(
      `SELECT c.ClientId, c.State, c.HardwareId, c.Tag, c.RegisteredAt, s.ReportedAt, s.LastErrorCode,
         coalesce(nullif(s.MachineName, ''), c.MachineName) AS MachineName,
         coalesce(nullif(s.Domain, ''), c.Domain) AS Domain,
         coalesce(s.OtherManagers, '[]') AS OtherManagers,
         EXISTS (SELECT 1 FROM MPE_ClientFlags f WHERE f.ClientId = c.ClientId AND f.Epoch = c.Epoch) AS Cloned
       FROM MPE_Clients c LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
       WHERE c.ClientId > ? AND c.ClientId <= ?
         AND coalesce((SELECT e.Event FROM MPE_MachineEvents e
                       WHERE e.ClientId = c.ClientId AND e.Event IN ('DELETED', 'RESTORED', 'MERGED')
                       ORDER BY e.EventId DESC LIMIT 1), 'RESTORED') = 'RESTORED'
       ORDER BY c.ClientId`,
      after,
      last,
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
      machineName: text(row, 'MachineName'),
      domain: text(row, 'Domain'),
      hardwareId: text(row, 'HardwareId'),
      tag: text(row, 'Tag'),
      registeredAtMs: integer(row, 'RegisteredAt'),
      checkedInAtMs: integerOrNull(row, 'ReportedAt'),
      otherManagers: JSON.parse(text(row, 'OtherManagers')) as OtherManager[],
      hasError: row['LastErrorCode'] !== null,
      cloned: flag(row, 'Cloned'),
    }));
}

function volumesUntil(c: Connection, after: string, last: string, nowMs: number): CoverageVolume[] {
  const rows = c.all(
    `SELECT r.ClientId, r.VolumeId, r.VolumeType, r.Protection, r.ReportedAt, j.value IS NOT NULL AS HasKey,
       EXISTS (SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
               WHERE k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1) AS Proven,
       EXISTS (SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
               WHERE k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1
                 AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)) AS Readable,
       EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.value) AS Exposed,
       EXISTS (SELECT 1 FROM MPE_RotationRequests q WHERE q.VolumeId = r.VolumeId AND q.KeyId = j.value
               AND q.ClosedAt IS NULL AND q.Deadline < ?3) AS Overdue
     FROM MPE_Reports r LEFT JOIN json_each(r.KeyIds) j
     WHERE r.ClientId > ?1 AND r.ClientId <= ?2 ORDER BY r.ClientId, r.VolumeId`,
    after,
    last,
    nowMs,
  );
  return volumesOf(
    rows.map((row) => ({
      clientId: guid(row, 'ClientId'),
      volumeId: guid(row, 'VolumeId'),
      volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
      protection: numbered(row, 'Protection', PROTECTION_STATES),
      reportedAtMs: integer(row, 'ReportedAt'),
      key: flag(row, 'HasKey'),
      proven: flag(row, 'Proven'),
      readable: flag(row, 'Readable'),
      exposed: flag(row, 'Exposed'),
      overdue: flag(row, 'Overdue'),
    })),
  );
}
