import type { SqlServerTarget } from '../../src/config/index.js';
import { AT, CLIENT_ID, fillMssql, guid, SECRET_ID, VOLUME_ID } from '../lookup/fill-mssql.js';
import { CHUNK } from '../lookup/plan.js';
import { POLICY_ID, RINGS, SHOWN_EVERY, VOLUMES, WAITING_EVERY } from './plan.js';

/** As fillSiteSqlite, into an empty database; tags and hardware ids are there already. */
export async function fillSiteMssql(target: SqlServerTarget, machines: number): Promise<void> {
  if (machines * VOLUMES > CHUNK) throw new Error(`${CHUNK / VOLUMES} machines at most`);
  await fillMssql(target, machines * VOLUMES, STATEMENTS);
}

/** Number of a machine, from 1, of a key's row. */
const N = `(i / ${VOLUMES} + 1)`;
const MACHINES = `BENCH_Keys WHERE i % ${VOLUMES} = 0`;
const KEY_ID = 'CAST(KeyId AS uniqueidentifier)';
/** Numbers of things lie far apart, as their GUIDs must. */
const EXPOSURE_ID = guid('i + 5000000000000');
const REQUEST_ID = guid('i + 6000000000000');
const NOTHING = `0x${'00'.repeat(32)}`;
const SHOWN = `(i + 1) % ${SHOWN_EVERY} = 0`;
const WAITING = `(i + 1) % ${WAITING_EVERY} = 0`;
const LATER = `DATEADD(millisecond, CAST(i + 1 AS int), ${AT})`;

const STATEMENTS: readonly string[] = [
  `INSERT INTO MPE_ClientStates (ClientId, Epoch, Sequence, Digest, MessageId, MachineName, Domain, OtherManagers,
     LastErrorCode, LastErrorText, LastErrorAt, ReportedAt)
   SELECT ${CLIENT_ID}, 1, 1000000000 + i, ${SECRET_ID}, ${guid('i + 4000000000000')}, N'PC' + CAST(i AS nvarchar(20)),
     N'CORP', CASE WHEN ${N} % 20 = 0 THEN N'["MBAM"]' ELSE N'[]' END, CASE WHEN ${N} % 50 = 0 THEN 5 END,
     CASE WHEN ${N} % 50 = 0 THEN N'refused' END, CASE WHEN ${N} % 50 = 0 THEN ${AT} END, ${LATER}
   FROM ${MACHINES} AND ${N} % 10 <> 0;`,
  `INSERT INTO MPE_ClientUsers (ClientId, Position, Domain, Name, ReportedAt)
   SELECT ${CLIENT_ID}, 0, N'CORP', N'user' + CAST(${N} AS nvarchar(20)), ${AT} FROM ${MACHINES} AND ${N} % 10 <> 0;`,
  `INSERT INTO MPE_MachineEvents (ClientId, Event, HappenedAt, DoneBy)
   SELECT ${CLIENT_ID}, CASE WHEN ${N} % 200 = 0 THEN 'RESTORED' ELSE 'DELETED' END, ${AT}, N'bench'
   FROM ${MACHINES} AND ${N} % 100 = 0;`,
  `INSERT INTO MPE_Devices (DeviceKey, MachineName, Domain, HardwareId, Tag, ImportedAt)
   SELECT N'corp\\pc' + CAST(i AS nvarchar(20)), N'PC' + CAST(i AS nvarchar(20)), N'CORP',
     CASE WHEN ${N} % 2 = 0 THEN N'HW' + CAST(${N} AS nvarchar(10)) ELSE N'' END, N'', ${AT}
   FROM ${MACHINES};`,
  `INSERT INTO MPE_Outcomes (ClientId, MessageId, Digest, BodyType, Epoch, Sequence, Disposition, Reason, SealedReply,
     Attempts, Stages, ReceivedAt, DecidedAt, DecidedBy)
   SELECT ${CLIENT_ID}, ${guid('i + 7000000000000')}, ${SECRET_ID}, 'ESCROW_RECOVERY_KEYS', 1, 1000000000 + i, 3, 'NONE',
     'x', 1, N'[]', ${AT}, ${LATER}, N'bench'
   FROM ${MACHINES};`,
  `INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause)
   SELECT ${EXPOSURE_ID}, ${KEY_ID}, ${VOLUME_ID}, ${LATER}, 'DISCLOSURE' FROM BENCH_Keys WHERE ${SHOWN};`,
  `INSERT INTO MPE_ExposureRanks (ExposureId, ClientId, Epoch, Sequence, Digest)
   SELECT ${EXPOSURE_ID}, ${CLIENT_ID}, 1, i + 1, ${NOTHING} FROM BENCH_Keys WHERE ${SHOWN};`,
  `INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt, ClosedAs, ClosedAt, Origin, RequestedBy)
   SELECT ${REQUEST_ID}, ${VOLUME_ID}, ${KEY_ID}, ${LATER}, ${AT}, CASE WHEN ${WAITING} THEN NULL ELSE 'COMPLETED' END,
     CASE WHEN ${WAITING} THEN NULL ELSE ${LATER} END, 'DISCLOSURE', N'anna'
   FROM BENCH_Keys WHERE ${SHOWN};`,
  `INSERT INTO MPE_RotationReports (RequestId, ClientId, MessageId, Epoch, Sequence, Outcome, ReportedAt)
   SELECT ${REQUEST_ID}, ${CLIENT_ID}, ${guid('i + 8000000000000')}, 1, 1, 'FAILED', ${AT}
   FROM BENCH_Keys WHERE ${WAITING} AND (i + 1) % 500 = 0;`,
  `INSERT INTO MPE_Policies (PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives, TpmOwnerAuth,
     CheckIntervalMinutes, CreatedAt, State, DeployedAt)
   VALUES ('${POLICY_ID}', N'All', 'MANAGE', NULL, 0, 0, 0, 90, ${AT}, 'DEPLOYED', ${AT});`,
  `INSERT INTO MPE_PolicyRings (PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes, RotationsPerHour, OpenedAt,
     PauseReason)
   SELECT '${POLICY_ID}', n, N'ring' + CAST(n AS nvarchar(10)), 'OPEN', 'BY_HAND', 100, 0, 100, ${AT}, N''
   FROM BENCH_Numbers WHERE n BETWEEN 1 AND ${RINGS};`,
];
