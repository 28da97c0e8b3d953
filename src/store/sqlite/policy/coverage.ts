import type { Guid } from '../../../protocol/guid.js';
import type { OtherManager } from '../../../protocol/vocabulary.js';
import { addVolumes, COVERAGE_BITS, coverageKey, type Counted } from '../../coverage-volumes.js';
import type { CoverageClient, CoverageFacts, CoverageVolume, DeviceRow } from '../../policy-store.js';
import { flag, guid, integer, integerOrNull, text, word } from '../columns.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import { devicesAfter } from './devices.js';

/** Clients of one page; a page holds the event loop for some milliseconds. */
export const COVERAGE_PAGE = 400;
/** Devices of one page. */
const DEVICES_PAGE = 5000;

/** What coverage is counted from, page by page, each of its own moment: others get their turn in between. */
export async function coverage(c: Connection, nowMs: number): Promise<CoverageFacts> {
  const devices: DeviceRow[] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const from: string = after;
    const page = await retryBusy('reading devices', () => devicesAfter(c, from, DEVICES_PAGE));
    for (const device of page) devices.push(device);
    after = page.at(-1)?.deviceKey;
    await turn();
  }
  const clients: CoverageClient[] = [];
  const volumes: CoverageVolume[] = [];
  for (let after: Guid | '' | null = ''; after !== null;) {
    const from: Guid | '' = after;
    const page: CoveragePage = await retryBusy('reading coverage', () => coveragePage(c, from, nowMs));
    for (const client of page.clients) clients.push(client);
    for (const volume of page.volumes) volumes.push(volume);
    after = page.next;
    await turn();
  }
  return { devices, clients, volumes };
}

const turn = (): Promise<void> => new Promise((resume) => setImmediate(resume));

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

/**
 * A key's copies are asked for once: 1 for what the client never sent, 2 where no copy opens, 3 where one does.
 * A password that cannot be read beside one that can is no damage.
 */
const COPY = `CASE WHEN j.value IS NULL THEN 0 ELSE 1 + coalesce((
    SELECT max(1 + EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId))
    FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
    WHERE k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1), 0) END`;

const FACTS = `r.VolumeType + ${COVERAGE_BITS.protection} * r.Protection + ${COVERAGE_BITS.copy} * (${COPY})
    + ${COVERAGE_BITS.exposed} * EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.value)
    + ${COVERAGE_BITS.overdue} * EXISTS (
      SELECT 1 FROM MPE_RotationRequests q WHERE q.VolumeId = r.VolumeId AND q.KeyId = j.value
        AND q.ClosedAt IS NULL AND q.Deadline < ?3)`;

function volumesUntil(c: Connection, after: string, last: string, nowMs: number): CoverageVolume[] {
  const rows = c.all(
    `SELECT r.ClientId, r.VolumeId, r.ReportedAt, ${FACTS} AS Facts
     FROM MPE_Reports r LEFT JOIN json_each(r.KeyIds) j
     WHERE r.ClientId > ?1 AND r.ClientId <= ?2 ORDER BY r.ClientId, r.VolumeId`,
    after,
    last,
    nowMs,
  );
  const volumes: Counted[] = [];
  addVolumes(
    volumes,
    rows.map((row) =>
      coverageKey(
        guid(row, 'ClientId'),
        guid(row, 'VolumeId'),
        integer(row, 'ReportedAt'),
        integer(row, 'Facts'),
      ),
    ),
  );
  return volumes;
}
