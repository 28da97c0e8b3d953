import { T0 } from '../../test/store/world.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { fillSqlite } from '../lookup/fill-sqlite.js';
import { POLICY_ID, RINGS, SHOWN_EVERY, VOLUMES, WAITING_EVERY } from './plan.js';

/** Fills a new file with machines as a site of some years has them: what reports and lists read. */
export function fillSiteSqlite(path: string, machines: number): void {
  fillSqlite(path, machines * VOLUMES);
  const connection = Connection.open(path, { readOnly: false });
  try {
    connection.db.pragma('synchronous = OFF');
    connection.immediate(() => {
      for (const sql of STATEMENTS) connection.db.exec(sql);
    });
    connection.db.exec('ANALYZE');
    connection.db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    connection.close();
  }
}

/** A GUID of its own class for a number. */
const guid = (kind: string, number: string): string =>
  `printf('%08x-0000-4000-${kind}-000000000000', ${number})`;
const hash = (number: string): string => `unhex(printf('%064x', ${number}))`;

const STATEMENTS: readonly string[] = [
  `UPDATE MPE_Clients SET Tag = 'ring' || (rowid % ${RINGS} + 1), HardwareId = 'HW' || rowid`,
  `INSERT INTO MPE_ClientStates (ClientId, Epoch, Sequence, Digest, MessageId, MachineName, Domain, OtherManagers,
     LastErrorCode, LastErrorText, LastErrorAt, ReportedAt)
   SELECT ClientId, 1, 1000000000 + rowid, ${hash('rowid')}, ${guid('c000', 'rowid')}, MachineName, Domain,
     iif(rowid % 20 = 0, '["MBAM"]', '[]'), iif(rowid % 50 = 0, 5, NULL), iif(rowid % 50 = 0, 'refused', NULL),
     iif(rowid % 50 = 0, ${T0}, NULL), ${T0} + rowid
   FROM MPE_Clients WHERE rowid % 10 <> 0`,
  `INSERT INTO MPE_ClientUsers (ClientId, Domain, Name, ReportedAt)
   SELECT ClientId, 'CORP', 'user' || rowid, ${T0} FROM MPE_ClientStates`,
  `INSERT INTO MPE_MachineEvents (ClientId, Event, HappenedAt, DoneBy)
   SELECT ClientId, iif(rowid % 200 = 0, 'RESTORED', 'DELETED'), ${T0}, 'bench' FROM MPE_Clients WHERE rowid % 100 = 0`,
  `INSERT INTO MPE_Devices (DeviceKey, MachineName, Domain, HardwareId, Tag, ImportedAt)
   SELECT 'corp\\' || lower(MachineName), MachineName, 'CORP', iif(rowid % 2 = 0, HardwareId, ''), Tag, ${T0}
   FROM MPE_Clients`,
  `INSERT INTO MPE_Outcomes (ClientId, MessageId, Digest, BodyType, Epoch, Sequence, Disposition, Reason, SealedReply,
     Attempts, Stages, ReceivedAt, DecidedAt, DecidedBy)
   SELECT ClientId, ${guid('d000', 'rowid')}, ${hash('rowid')}, 'ESCROW_RECOVERY_KEYS', 1, 1000000000 + rowid, 3, 'NONE',
     'x', 1, '[]', ${T0}, ${T0} + 1000, 'bench' FROM MPE_Clients`,
  `INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause)
   SELECT ${guid('e000', 'Id')}, KeyId, VolumeId, ${T0} + Id, 'DISCLOSURE' FROM MPE_Keys WHERE Id % ${SHOWN_EVERY} = 0`,
  `INSERT INTO MPE_ExposureRanks (ExposureId, ClientId, Epoch, Sequence, Digest)
   SELECT ${guid('e000', 'k.Id')}, p.ClientId, 1, p.Sequence, ${hash('0')}
   FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId WHERE k.Id % ${SHOWN_EVERY} = 0`,
  `INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt, ClosedAs, ClosedAt, Origin, RequestedBy)
   SELECT ${guid('f000', 'Id')}, VolumeId, KeyId, ${T0} + Id, ${T0},
     iif(Id % ${WAITING_EVERY} = 0, NULL, 'COMPLETED'), iif(Id % ${WAITING_EVERY} = 0, NULL, ${T0} + Id), 'DISCLOSURE', 'anna'
   FROM MPE_Keys WHERE Id % ${SHOWN_EVERY} = 0`,
  `INSERT INTO MPE_RotationReports (RequestId, ClientId, MessageId, Epoch, Sequence, Outcome, ReportedAt)
   SELECT r.RequestId, p.ClientId, ${guid('c100', 'k.Id')}, 1, 1, 'FAILED', ${T0}
   FROM MPE_RotationRequests r JOIN MPE_Keys k ON k.KeyId = r.KeyId JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
   WHERE r.ClosedAt IS NULL AND k.Id % 500 = 0`,
  `INSERT INTO MPE_Policies (PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives, TpmOwnerAuth,
     CheckIntervalMinutes, CreatedAt, State, DeployedAt)
   VALUES ('${POLICY_ID}', 'All', 'MANAGE', NULL, 0, 0, 0, 90, ${T0}, 'DEPLOYED', ${T0})`,
  `INSERT INTO MPE_PolicyRings (PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes, RotationsPerHour, OpenedAt,
     PauseReason)
   SELECT '${POLICY_ID}', value, 'ring' || value, 'OPEN', 'BY_HAND', 100, 0, 100, ${T0}, ''
   FROM json_each('[${Array.from({ length: RINGS }, (_, n) => n + 1).join(',')}]')`,
];
