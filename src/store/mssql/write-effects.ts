import { bytes } from './columns.js';
import { hexOf, type JsonRow } from './json-rows.js';
import { textOfJson } from './json-text.js';
import { packBytes } from './long-values.js';
import { rowsOf } from './parameters.js';
import type { Reduction } from './reduce.js';
import type { Generation } from './reduce-secrets.js';
import type { Session, SqlParameters } from './session.js';

/** What the group left behind, read before COMMIT. */
export interface GroupCheck {
  /** Hex ids of secrets of the group that have no healthy generation. */
  readonly unhealthy: ReadonlySet<string>;
  readonly hasDataKey: boolean;
}

/**
 * The second batch of a commit: everything but the outcomes. Tables come in one order and rows in
 * that of their keys, so that writers seldom wait for each other in a circle. `NOT EXISTS` only
 * spares rows that are there; that of two writers one fails is up to the unique constraints.
 *
 * @param generations what to store, numbered from what `writeOutcomes` saw: a rival's generation in
 *   between is a unique violation
 * @param flags rows of MPE_ClientFlags
 */
export async function writeEffects(
  tx: Session,
  group: Reduction,
  generations: readonly Generation[],
  flags: readonly JsonRow[],
): Promise<GroupCheck> {
  const [unhealthy = [], dataKeys = []] = await tx.query(BATCH, parameters(group, generations, flags));
  return {
    unhealthy: new Set(unhealthy.map((row) => hexOf(bytes(row, 'SecretId')))),
    hasDataKey: dataKeys.length > 0,
  };
}

function parameters(
  group: Reduction,
  generations: readonly Generation[],
  flags: readonly JsonRow[],
): SqlParameters {
  const [keySecrets, keyContents] = packed(generations.filter(({ ownerAuth }) => !ownerAuth));
  const [authSecrets, authContents] = packed(generations.filter(({ ownerAuth }) => ownerAuth));
  return {
    ...{ volumes: rowsOf(group.volumes), keys: rowsOf(group.keys), ownerAuths: rowsOf(group.ownerAuths) },
    ...{ keySecrets: rowsOf(keySecrets), keyContents, authSecrets: rowsOf(authSecrets), authContents },
    ...{ keyProofs: rowsOf(group.keyProofs), authProofs: rowsOf(group.ownerAuthProofs) },
    ...{ reports: rowsOf(group.reports), states: rowsOf(group.states), users: rowsOf(group.users) },
    ...{ rotations: rowsOf(group.rotations), deliveries: rowsOf(group.deliveries), flags: rowsOf(flags) },
    ...{ resolved: rowsOf(group.resolved), secretIds: rowsOf(group.secretIds) },
  };
}

function packed(generations: readonly Generation[]): [JsonRow[], ReturnType<typeof packBytes>['parameter']] {
  const { places, parameter } = packBytes(generations.map(({ content }) => content));
  return [generations.map(({ row }, i) => ({ ...row, ...places[i] })), parameter];
}

const insertSecrets = (
  table: 'MPE_KeySecrets' | 'MPE_TpmOwnerAuthSecrets',
  rows: string,
  contents: string,
): string => `
  INSERT INTO ${table} (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
  SELECT CONVERT(varbinary(32), j.SecretId, 2), j.Generation, j.Form, j.DataKeyId,
    SUBSTRING(${contents}, j.Start, j.Length), j.StoredAt
  FROM OPENJSON(${rows}) WITH (SecretId varchar(64) '$.SecretId', Generation int '$.Generation',
    Form int '$.Form', DataKeyId uniqueidentifier '$.DataKeyId', Start int '$.Start', Length int '$.Length',
    StoredAt datetime2(3) '$.StoredAt') j
  ORDER BY j.SecretId, j.Generation;`;

const insertProofs = (table: 'MPE_KeyProofs' | 'MPE_TpmOwnerAuthProofs', rows: string): string => `
  INSERT INTO ${table} (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
  SELECT j.ClientId, CONVERT(varbinary(32), j.SecretId, 2), j.MessageId, j.Epoch, j.Sequence, j.ProvenAt
  FROM OPENJSON(${rows}) WITH (ClientId uniqueidentifier '$.ClientId', SecretId varchar(64) '$.SecretId',
    MessageId uniqueidentifier '$.MessageId', Epoch int '$.Epoch', Sequence bigint '$.Sequence',
    ProvenAt datetime2(3) '$.ProvenAt') j
  WHERE NOT EXISTS (SELECT 1 FROM ${table} t
                    WHERE t.ClientId = j.ClientId AND t.SecretId = CONVERT(varbinary(32), j.SecretId, 2))
  ORDER BY j.ClientId, j.SecretId;`;

const RANK_SHAPE = `ClientId uniqueidentifier '$.ClientId', Epoch int '$.Epoch', Sequence bigint '$.Sequence',
    Digest varchar(64) '$.Digest', MessageId uniqueidentifier '$.MessageId',
    ReportedAt datetime2(3) '$.ReportedAt'`;

/** The row `j` outranks the stored row `t` of the same client. */
const OUTRANKS = `(j.Epoch > t.Epoch OR (j.Epoch = t.Epoch AND (j.Sequence > t.Sequence
    OR (j.Sequence = t.Sequence AND CONVERT(varbinary(32), j.Digest, 2) > t.Digest))))`;

const REPORTS = `OPENJSON(@reports) WITH (${RANK_SHAPE}, VolumeId uniqueidentifier '$.VolumeId',
    VolumeType int '$.VolumeType', DriveLabel nvarchar(max) '$.DriveLabel', Protection int '$.Protection',
    KeyIds nvarchar(max) '$.KeyIds' AS JSON) j`;

const STATES = `OPENJSON(@states) WITH (${RANK_SHAPE}, MachineName nvarchar(max) '$.MachineName',
    Domain nvarchar(max) '$.Domain', OtherManagers nvarchar(max) '$.OtherManagers' AS JSON,
    LastErrorCode bigint '$.LastErrorCode', LastErrorText nvarchar(max) '$.LastErrorText',
    LastErrorAt datetime2(3) '$.LastErrorAt') j`;

/** A client `j` of `@states` whose stored state is the one that this batch wrote. */
const OWN_STATE = `t.ClientId = j.ClientId AND t.MessageId = j.MessageId AND t.Epoch = j.Epoch
    AND t.Sequence = j.Sequence AND t.Digest = CONVERT(varbinary(32), j.Digest, 2) AND t.ReportedAt = j.ReportedAt`;

const deleteResolved = (table: 'MPE_Quarantine' | 'MPE_DeadLetters'): string => `
  DELETE t FROM ${table} t JOIN OPENJSON(@resolved) WITH (ClientId uniqueidentifier '$.ClientId',
    MessageId uniqueidentifier '$.MessageId') j ON t.ClientId = j.ClientId AND t.MessageId = j.MessageId;`;

const BATCH = `
  INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt)
  SELECT j.VolumeId, j.FirstSeenAt
  FROM OPENJSON(@volumes) WITH (VolumeId uniqueidentifier '$.VolumeId', FirstSeenAt datetime2(3) '$.FirstSeenAt') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_Volumes t WHERE t.VolumeId = j.VolumeId)
  ORDER BY j.VolumeId;

  INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint, FirstStoredAt)
  SELECT CONVERT(varbinary(32), j.SecretId, 2), j.Kind, j.KeyId, j.KeyIdPrefix, j.VolumeId, j.FingerprintKeyId,
    CONVERT(varbinary(32), j.Fingerprint, 2), j.FirstStoredAt
  FROM OPENJSON(@keys) WITH (SecretId varchar(64) '$.SecretId', Kind int '$.Kind',
    KeyId uniqueidentifier '$.KeyId', KeyIdPrefix char(8) '$.KeyIdPrefix',
    VolumeId uniqueidentifier '$.VolumeId', FingerprintKeyId uniqueidentifier '$.FingerprintKeyId',
    Fingerprint varchar(64) '$.Fingerprint', FirstStoredAt datetime2(3) '$.FirstStoredAt') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_Keys t WHERE t.SecretId = CONVERT(varbinary(32), j.SecretId, 2))
  ORDER BY j.SecretId;

  INSERT INTO MPE_TpmOwnerAuths (SecretId, ClientId, FingerprintKeyId, Fingerprint, FirstStoredAt)
  SELECT CONVERT(varbinary(32), j.SecretId, 2), j.ClientId, j.FingerprintKeyId,
    CONVERT(varbinary(32), j.Fingerprint, 2), j.FirstStoredAt
  FROM OPENJSON(@ownerAuths) WITH (SecretId varchar(64) '$.SecretId', ClientId uniqueidentifier '$.ClientId',
    FingerprintKeyId uniqueidentifier '$.FingerprintKeyId', Fingerprint varchar(64) '$.Fingerprint',
    FirstStoredAt datetime2(3) '$.FirstStoredAt') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_TpmOwnerAuths t WHERE t.SecretId = CONVERT(varbinary(32), j.SecretId, 2))
  ORDER BY j.SecretId;
  ${insertSecrets('MPE_KeySecrets', '@keySecrets', '@keyContents')}
  ${insertSecrets('MPE_TpmOwnerAuthSecrets', '@authSecrets', '@authContents')}
  ${insertProofs('MPE_KeyProofs', '@keyProofs')}
  ${insertProofs('MPE_TpmOwnerAuthProofs', '@authProofs')}

  UPDATE t SET Epoch = j.Epoch, Sequence = j.Sequence, Digest = CONVERT(varbinary(32), j.Digest, 2),
    MessageId = j.MessageId, VolumeType = j.VolumeType, DriveLabel = ${textOfJson('j.DriveLabel')},
    Protection = j.Protection, KeyIds = j.KeyIds, ReportedAt = j.ReportedAt
  FROM MPE_Reports t JOIN ${REPORTS} ON t.ClientId = j.ClientId AND t.VolumeId = j.VolumeId
  WHERE ${OUTRANKS};

  INSERT INTO MPE_Reports (ClientId, VolumeId, Epoch, Sequence, Digest, MessageId, VolumeType, DriveLabel,
    Protection, KeyIds, ReportedAt)
  SELECT j.ClientId, j.VolumeId, j.Epoch, j.Sequence, CONVERT(varbinary(32), j.Digest, 2), j.MessageId,
    j.VolumeType, ${textOfJson('j.DriveLabel')}, j.Protection, j.KeyIds, j.ReportedAt
  FROM ${REPORTS}
  WHERE NOT EXISTS (SELECT 1 FROM MPE_Reports t WHERE t.ClientId = j.ClientId AND t.VolumeId = j.VolumeId)
  ORDER BY j.ClientId, j.VolumeId;

  UPDATE t SET Epoch = j.Epoch, Sequence = j.Sequence, Digest = CONVERT(varbinary(32), j.Digest, 2),
    MessageId = j.MessageId, MachineName = ${textOfJson('j.MachineName')}, Domain = ${textOfJson('j.Domain')},
    OtherManagers = j.OtherManagers, LastErrorCode = j.LastErrorCode,
    LastErrorText = ${textOfJson('j.LastErrorText')}, LastErrorAt = j.LastErrorAt, ReportedAt = j.ReportedAt
  FROM MPE_ClientStates t JOIN ${STATES} ON t.ClientId = j.ClientId
  WHERE ${OUTRANKS};

  INSERT INTO MPE_ClientStates (ClientId, Epoch, Sequence, Digest, MessageId, MachineName, Domain, OtherManagers,
    LastErrorCode, LastErrorText, LastErrorAt, ReportedAt)
  SELECT j.ClientId, j.Epoch, j.Sequence, CONVERT(varbinary(32), j.Digest, 2), j.MessageId,
    ${textOfJson('j.MachineName')}, ${textOfJson('j.Domain')}, j.OtherManagers, j.LastErrorCode,
    ${textOfJson('j.LastErrorText')}, j.LastErrorAt, j.ReportedAt
  FROM ${STATES}
  WHERE NOT EXISTS (SELECT 1 FROM MPE_ClientStates t WHERE t.ClientId = j.ClientId)
  ORDER BY j.ClientId;

  DELETE u FROM MPE_ClientUsers u JOIN ${STATES} ON u.ClientId = j.ClientId
  WHERE EXISTS (SELECT 1 FROM MPE_ClientStates t WHERE ${OWN_STATE});

  INSERT INTO MPE_ClientUsers (ClientId, Position, Domain, Name, ReportedAt)
  SELECT u.ClientId, u.Position, ${textOfJson('u.Domain')}, ${textOfJson('u.Name')}, j.ReportedAt
  FROM OPENJSON(@users) WITH (ClientId uniqueidentifier '$.ClientId', Position int '$.Position',
    Domain nvarchar(max) '$.Domain', Name nvarchar(max) '$.Name') u
  JOIN ${STATES} ON j.ClientId = u.ClientId
  WHERE EXISTS (SELECT 1 FROM MPE_ClientStates t WHERE ${OWN_STATE})
  ORDER BY u.ClientId, u.Position;

  INSERT INTO MPE_RotationReports (RequestId, ClientId, MessageId, Epoch, Sequence, Outcome, ErrorCode, ErrorText,
    NewKeyId, ReportedAt)
  SELECT j.RequestId, j.ClientId, j.MessageId, j.Epoch, j.Sequence, j.Outcome, j.ErrorCode,
    ${textOfJson('j.ErrorText')}, j.NewKeyId, j.ReportedAt
  FROM OPENJSON(@rotations) WITH (RequestId uniqueidentifier '$.RequestId', ClientId uniqueidentifier '$.ClientId',
    MessageId uniqueidentifier '$.MessageId', Epoch int '$.Epoch', Sequence bigint '$.Sequence',
    Outcome varchar(64) '$.Outcome', ErrorCode bigint '$.ErrorCode', ErrorText nvarchar(max) '$.ErrorText',
    NewKeyId uniqueidentifier '$.NewKeyId', ReportedAt datetime2(3) '$.ReportedAt', IsForeign int '$.IsForeign') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_RotationReports t WHERE t.RequestId = j.RequestId
                      AND t.ClientId = j.ClientId AND (j.IsForeign = 1 OR t.MessageId = j.MessageId))
    AND (j.IsForeign = 0 OR EXISTS (SELECT 1 FROM MPE_RotationRequests r WHERE r.RequestId = j.RequestId))
  ORDER BY j.RequestId, j.ClientId, j.MessageId;

  INSERT INTO MPE_RotationDeliveries (RequestId, ClientId, Round, FirstDeliveredAt)
  SELECT j.RequestId, j.ClientId, j.Round, j.FirstDeliveredAt
  FROM OPENJSON(@deliveries) WITH (RequestId uniqueidentifier '$.RequestId', ClientId uniqueidentifier '$.ClientId',
    Round int '$.Round', FirstDeliveredAt datetime2(3) '$.FirstDeliveredAt') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_RotationDeliveries t WHERE t.RequestId = j.RequestId
                      AND t.ClientId = j.ClientId AND t.Round = j.Round)
  ORDER BY j.RequestId, j.ClientId, j.Round;

  INSERT INTO MPE_ClientFlags (ClientId, Flag, Epoch, FlaggedAt, Detail)
  SELECT j.ClientId, 'CLONE', j.Epoch, j.FlaggedAt, j.Detail
  FROM OPENJSON(@flags) WITH (ClientId uniqueidentifier '$.ClientId', Epoch int '$.Epoch',
    FlaggedAt datetime2(3) '$.FlaggedAt', Detail nvarchar(256) '$.Detail') j
  WHERE NOT EXISTS (SELECT 1 FROM MPE_ClientFlags t
                    WHERE t.ClientId = j.ClientId AND t.Flag = 'CLONE' AND t.Epoch = j.Epoch)
  ORDER BY j.ClientId, j.Epoch;
  ${deleteResolved('MPE_Quarantine')}
  ${deleteResolved('MPE_DeadLetters')}

  SELECT s.SecretId
  FROM (SELECT CONVERT(varbinary(32), j.SecretId, 2) AS SecretId
        FROM OPENJSON(@secretIds) WITH (SecretId varchar(64) '$.SecretId') j) s
  WHERE NOT EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = s.SecretId);
  SELECT TOP (1) d.DataKeyId FROM MPE_DataKeys d;`;
