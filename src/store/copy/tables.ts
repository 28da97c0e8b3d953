/**
 * The tables of a site without a dialect: what `mpe store copy` reads from one database and writes
 * to another. A test compares this with the real schema of both stores, so that a column which a
 * migration adds cannot be forgotten here.
 */

/**
 * What a column holds, and its value between two stores:
 * guid, text, word, json: string (GUIDs in lower case); int, time (milliseconds since 1970 UTC):
 * number; bigint: bigint; bytes: Buffer; bool: boolean. Any of them may be null.
 */
export type NeutralType = 'guid' | 'text' | 'word' | 'json' | 'int' | 'bigint' | 'time' | 'bytes' | 'bool';

export type NeutralValue = string | number | bigint | boolean | Buffer | null;

/** The values of one row in the order of its table's columns. */
export type NeutralRow = readonly NeutralValue[];

export type Dialect = 'sqlite' | 'mssql';

/** A column that is copied. */
export interface CopyColumn {
  readonly name: string;
  readonly type: NeutralType;
  /**
   * The place of a row among its siblings, a column of SQL Server alone: SQLite has the order of the
   * rows. It is copied and not compared.
   */
  readonly ordinal: boolean;
}

/** A table that is copied. */
export interface CopyTable {
  readonly name: string;
  readonly columns: readonly CopyColumn[];
  /** Columns by which a row that is there is known; none: by its place in the order of the surrogate. */
  readonly key: Readonly<Record<Dialect, readonly string[]>>;
  /** A number that each database gives anew, in the same order. */
  readonly surrogate: Readonly<Record<Dialect, string | null>>;
  /** Rows that the migrations write: an empty database has them. */
  readonly seeded: boolean;
}

/** Tables that are not copied, and why. */
export const NOT_COPIED: Readonly<Record<string, string>> = {
  MPE_Migrations: 'the schema of each database',
  MPE_StoreCopy: 'about the copy itself',
  MPE_Sessions: 'people sign in again',
  MPE_SignInFailures: 'they are counted anew',
  MPE_Probe: 'readiness writes of running processes; they say nothing about the site',
};

/** `name:type` for each column; a star after the type marks the ordinal. */
function table(
  name: string,
  columns: string,
  key: string | { readonly sqlite: string; readonly mssql: string },
  more: { readonly surrogate?: string; readonly mssqlSurrogate?: string; readonly seeded?: true } = {},
): CopyTable {
  const names = (list: string): string[] => list.split(' ').filter((one) => one !== '');
  return {
    name: `MPE_${name}`,
    columns: names(columns).map((text) => {
      const [column = '', type = ''] = text.replace('*', '').split(':');
      return { name: column, type: type as NeutralType, ordinal: text.endsWith('*') };
    }),
    key: {
      sqlite: names(typeof key === 'string' ? key : key.sqlite),
      mssql: names(typeof key === 'string' ? key : key.mssql),
    },
    surrogate: {
      sqlite: more.surrogate ?? null,
      mssql: more.mssqlSurrogate ?? more.surrogate ?? null,
    },
    seeded: more.seeded ?? false,
  };
}

const SECRETS = 'SecretId:bytes Generation:int Form:int DataKeyId:guid Content:bytes StoredAt:time';
const PROOFS = 'ClientId:guid SecretId:bytes MessageId:guid Epoch:int Sequence:bigint ProvenAt:time';

/** Every table of a site, each behind the tables that it refers to. */
export const COPY_TABLES: readonly CopyTable[] = [
  table(
    'Site',
    'Id:int SiteGuid:guid Name:text RootThumbprint:word TestSite:bool SiteVersion:word CreatedAt:time',
    'Id',
  ),
  table('SiteDocuments', 'Version:int Jws:word StoredAt:time', 'Version'),
  table(
    'SealingKeys',
    'Kid:word Alg:word PublicJwk:json WrappedPrivate:word State:word CreatedAt:time',
    'Kid',
  ),
  table(
    'SealingKeyArchive',
    'Kid:word CertificateThumbprint:word Alg:word PublicJwk:json Wrapped:word CreatedAt:time ArchivedAt:time',
    'Kid CertificateThumbprint',
  ),
  table('FingerprintKeys', 'FingerprintKeyId:guid Wrapped:word CreatedAt:time', 'FingerprintKeyId'),
  table(
    'Policies',
    'PolicyId:guid Name:text Mode:word TargetTag:text StorePackages:bool RemovableDrives:bool ' +
      'TpmOwnerAuth:bool CheckIntervalMinutes:int CreatedAt:time State:word MbamMigration:bool ' +
      'RotateBesideOthers:bool Revision:int DeployedAt:time RetiredAt:time',
    'PolicyId',
  ),
  table(
    'PolicyRings',
    'PolicyId:guid Position:int Tag:text State:word Opens:word FailureLimit:int SoakMinutes:int ' +
      'RotationsPerHour:int OpenedAt:time PausedAt:time PauseReason:text',
    'PolicyId Position',
  ),
  table(
    'PolicyEvents',
    'PolicyId:guid Revision:int Event:word Detail:text HappenedAt:time DoneBy:text',
    'PolicyId Revision',
  ),
  table(
    'Devices',
    'DeviceKey:text MachineName:text Domain:text HardwareId:text Tag:text ImportedAt:time',
    'DeviceKey',
  ),
  table(
    'EnrolmentTokens',
    'TokenId:guid SecretHash:bytes UsesAllowed:int UsesLeft:int ExpiresAt:time Tag:text RevokedAt:time CreatedAt:time',
    'TokenId',
  ),
  table(
    'Clients',
    'ClientId:guid State:word Epoch:int MachineName:text Domain:text HardwareId:text JoinType:word Tag:text RegisteredAt:time',
    'ClientId',
  ),
  table(
    'ClientKeys',
    'ClientId:guid Epoch:int Kid:word PublicJwk:json RegistrationId:guid ProvenByKid:word TokenId:guid RegisteredAt:time ' +
      'ChannelKind:word ChannelSubject:word ApprovedBy:text',
    'ClientId Epoch',
  ),
  table(
    'PendingRegistrations',
    'ClientId:guid Kid:word PublicJwk:json RegistrationId:guid MachineName:text Domain:text HardwareId:text ' +
      'JoinType:word ChannelKind:word ChannelSubject:word FirstAskedAt:time LastAskedAt:time',
    'ClientId Kid',
  ),
  table('ClientFlags', 'ClientId:guid Flag:word Epoch:int FlaggedAt:time Detail:text', 'ClientId Flag Epoch'),
  table(
    'MachineEvents',
    'ClientId:guid Event:word IntoClientId:guid HappenedAt:time DoneBy:text',
    // Two equal events are two events.
    '',
    { surrogate: 'EventId' },
  ),
  table('Volumes', 'VolumeId:guid FirstSeenAt:time', 'VolumeId'),
  table(
    'Keys',
    'SecretId:bytes Kind:int KeyId:guid KeyIdPrefix:word VolumeId:guid FingerprintKeyId:guid Fingerprint:bytes FirstStoredAt:time',
    'SecretId',
    { surrogate: 'Id' },
  ),
  table(
    'TpmOwnerAuths',
    'SecretId:bytes ClientId:guid FingerprintKeyId:guid Fingerprint:bytes FirstStoredAt:time',
    'SecretId',
    { surrogate: 'Id' },
  ),
  table('DataKeys', 'DataKeyId:guid CreatedAt:time CreatedBy:text', 'DataKeyId'),
  table(
    'DataKeyWraps',
    'DataKeyId:guid CertificateThumbprint:word Wrapped:word WrappedAt:time',
    'DataKeyId CertificateThumbprint',
  ),
  // SQLite has the order of inserting without a column for it.
  table('KeySecrets', SECRETS, 'SecretId Generation', { mssqlSurrogate: 'RowNumber' }),
  table('TpmOwnerAuthSecrets', SECRETS, 'SecretId Generation', { mssqlSurrogate: 'RowNumber' }),
  table('KeyProofs', PROOFS, 'ClientId SecretId'),
  table('TpmOwnerAuthProofs', PROOFS, 'ClientId SecretId'),
  table('SecretDamage', 'SecretId:bytes Generation:int FoundAt:time Reason:text', 'SecretId Generation'),
  table(
    'Reports',
    'ClientId:guid VolumeId:guid Epoch:int Sequence:bigint Digest:bytes MessageId:guid VolumeType:int ' +
      'DriveLabel:text Protection:int KeyIds:json ReportedAt:time',
    'ClientId VolumeId',
  ),
  table(
    'ClientStates',
    'ClientId:guid Epoch:int Sequence:bigint Digest:bytes MessageId:guid MachineName:text Domain:text ' +
      'OtherManagers:json LastErrorCode:bigint LastErrorText:text LastErrorAt:time ReportedAt:time',
    'ClientId',
  ),
  table('ClientUsers', 'ClientId:guid Position:int* Domain:text Name:text ReportedAt:time', {
    sqlite: 'ClientId Domain Name',
    mssql: 'ClientId Position',
  }),
  table(
    'Outcomes',
    'ClientId:guid MessageId:guid Digest:bytes BodyType:word Epoch:int Sequence:bigint Disposition:int ' +
      'Reason:word SealedReply:word Attempts:int Stages:json ReceivedAt:time DecidedAt:time DecidedBy:text',
    'ClientId MessageId',
  ),
  table(
    'Quarantine',
    'ClientId:guid MessageId:guid BodyType:int Reason:word Kid:word Sealed:word Attempts:int FirstAt:time LastAt:time',
    'ClientId MessageId',
  ),
  table(
    'DeadLetters',
    'ClientId:guid MessageId:guid BodyType:int Cause:word Detail:text Sealed:word ReleaseName:word ' +
      'Resends:int DeadAt:time RedrivenAt:time',
    'ClientId MessageId',
  ),
  table(
    'RotationRequests',
    'RequestId:guid VolumeId:guid KeyId:guid Deadline:time OpenedAt:time ClosedAs:word ClosedAt:time ' +
      'Origin:word RequestedBy:text NotBefore:time Round:int ClosedBy:text CloseReason:text',
    'RequestId',
  ),
  table(
    'RotationDeliveries',
    'RequestId:guid ClientId:guid Round:int FirstDeliveredAt:time',
    'RequestId ClientId Round',
  ),
  table(
    'RotationReports',
    'RequestId:guid ClientId:guid MessageId:guid Epoch:int Sequence:bigint Outcome:word ErrorCode:bigint ' +
      'ErrorText:text NewKeyId:guid ReportedAt:time',
    'RequestId ClientId MessageId',
  ),
  table(
    'Exposures',
    'ExposureId:guid KeyId:guid VolumeId:guid ExposedAt:time Cause:word AuditSequence:bigint Actor:text',
    'ExposureId',
  ),
  table(
    'ExposureRanks',
    'ExposureId:guid ClientId:guid Epoch:int Sequence:bigint Digest:bytes',
    'ExposureId ClientId',
  ),
  table(
    'Audit',
    'Sequence:bigint HappenedAt:time Source:word Result:word HelpdeskUser:text EndUser:text Machine:text ' +
      'KeyType:word KeyId:text Reason:text Ticket:text Detail:text PreviousHash:bytes Hash:bytes ' +
      'RequestId:guid Actor:text',
    'Sequence',
  ),
  table('AuditHead', 'Id:int Sequence:bigint Hash:bytes', 'Id', { seeded: true }),
  table('AuditSinks', 'SinkId:word Sequence:bigint SavedAt:time', 'SinkId'),
  table(
    'Incidents',
    'IncidentId:guid Title:text LastsMinutes:int RotationsPerHour:int ProposedBy:text ProposedAt:time ' +
      'ConfirmedBy:text ConfirmedAt:time EndsAt:time EndedBy:text EndedAt:time',
    'IncidentId',
  ),
  table('IncidentMachines', 'IncidentId:guid ClientId:guid', 'IncidentId ClientId'),
  table(
    'ManagementPoints',
    'ManagementPointId:text Channel:word Address:text FirstSeenAt:time LastSeenAt:time',
    'ManagementPointId',
  ),
  table(
    'Accounts',
    'AccountKey:text Name:text Roles:json PasswordHash:word Disabled:bool Revision:int CreatedAt:time ChangedAt:time LastSignInAt:time',
    'AccountKey',
  ),
  table(
    'BreakGlass',
    'Id:int PasswordHash:word SealedTotp:word LastStep:bigint LastUse:word ArmedUntil:time ArmedBy:text SetAt:time',
    'Id',
  ),
  table('MachineNumbers', 'ClientId:guid Number:int', 'ClientId'),
];

/** The columns that a dialect has. */
export function columnsFor(table: CopyTable, dialect: Dialect): readonly CopyColumn[] {
  return dialect === 'mssql' ? table.columns : table.columns.filter((column) => !column.ordinal);
}

/** The tables and columns that a copy takes, by their names in lower case: what a schema must hold. */
export function copiedSchema(dialect: Dialect): ReadonlyMap<string, readonly string[]> {
  return new Map(
    COPY_TABLES.map((table) => {
      const columns = columnsFor(table, dialect).map(({ name }) => name);
      const surrogate = table.surrogate[dialect];
      const all = surrogate === null ? columns : [...columns, surrogate];
      return [table.name.toLowerCase(), all.map((name) => name.toLowerCase())];
    }),
  );
}

/** Whether a table of a schema stays where it is; its name in lower case. */
export function isLeftOut(name: string): boolean {
  return Object.keys(NOT_COPIED).some((one) => one.toLowerCase() === name);
}
