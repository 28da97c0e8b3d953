-- The site database on SQL Server, first version: the tables and columns of
-- src/store/sqlite/migrations/000001.sql, where more is said on some of them.
--
-- Conventions
--   * GUIDs are uniqueidentifier: equal whatever their case, never ordered or ranged by, for SQL
--     Server orders them by their last bytes. KeyIdPrefix and KeyIdText are what searches use.
--   * Times are datetime2(3) in UTC. Sequences are bigint.
--   * Hashes and ids of 32 bytes are varbinary(32) with a check: binary would pad in silence.
--   * Text that people write is nvarchar; its length counts UTF-16 units, so it is twice the code
--     points that the protocol allows. It has the collation of the database: nothing decides by it.
--   * Words and key thumbprints have a binary collation: `active` is not ACTIVE, and two base64url
--     thumbprints that differ by case are two keys. None of them ends in a blank, which every
--     comparison of SQL Server ignores. Tokens are varchar(max); they are compared with '' alone.
--   * Disclosed, LastUpdateTime, "superseded" and conflicts are derived by queries, never stored.
--   * Tables marked "append-only" refuse UPDATE and DELETE by trigger.
--   * Triggers see all rows of a statement, so they read the sets `inserted` and `deleted`. They end
--     in THROW, which ends the transaction: 51001 append-only, 51002 plain text beside a
--     certificate, 51003 lower rank, 51004 outcome not upwards, 51005 audit chain, 51006 epoch down.
--   * SQL Server refuses OUTPUT without INTO on a table with a trigger for that action (334):
--     no OUTPUT on an INSERT into a ...Secrets table, none on any UPDATE or on a DELETE from a
--     table that is never deleted from.
--   * Filtered indexes and indexes on computed columns demand QUOTED_IDENTIFIER, ANSI_NULLS,
--     ANSI_WARNINGS and ARITHABORT ON of every session that writes: the driver's defaults, but not
--     those of sqlcmd, which needs -I.
--   * Every object is named, so that an error names what refused.
--   * The file stays inside what SQL Server and Babelfish both take; GO ends a batch.
--   * A release that cannot run on a schema is told so by a line `--! breaking` in the migration.

---------------------------------------------------------------------------------------------------
-- The site and its keys

CREATE TABLE dbo.MPE_Site (
  Id int NOT NULL CONSTRAINT PK_MPE_Site PRIMARY KEY CONSTRAINT CK_MPE_Site_One CHECK (Id = 1),
  SiteGuid uniqueidentifier NOT NULL,
  Name nvarchar(512) NOT NULL,
  RootThumbprint varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  TestSite bit NOT NULL,
  SiteVersion nvarchar(64) NOT NULL,
  CreatedAt datetime2(3) NOT NULL
);

-- Append-only: every version of the site document.
CREATE TABLE dbo.MPE_SiteDocuments (
  Version int NOT NULL CONSTRAINT PK_MPE_SiteDocuments PRIMARY KEY
    CONSTRAINT CK_MPE_SiteDocuments_Version CHECK (Version > 0),
  Jws varchar(max) NOT NULL,
  StoredAt datetime2(3) NOT NULL
);

-- Sealing keys; the private part is a JWE under the worker secret.
CREATE TABLE dbo.MPE_SealingKeys (
  Kid varchar(128) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_SealingKeys PRIMARY KEY,
  Alg varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_SealingKeys_Alg CHECK (Alg IN ('RSA-OAEP-256', 'ECDH-ES+A256KW')),
  PublicJwk nvarchar(max) NOT NULL CONSTRAINT CK_MPE_SealingKeys_PublicJwk CHECK (ISJSON(PublicJwk) = 1),
  WrappedPrivate varchar(max) NOT NULL,
  State varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_SealingKeys_State CHECK (State IN ('ACTIVE', 'RETIRED')),
  CreatedAt datetime2(3) NOT NULL
);

-- Append-only: the fingerprint key is never rotated while running.
CREATE TABLE dbo.MPE_FingerprintKeys (
  FingerprintKeyId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_FingerprintKeys PRIMARY KEY,
  Wrapped varchar(max) NOT NULL,
  CreatedAt datetime2(3) NOT NULL
);

-- Append-only: a data key. Its existence is how the database knows that the site has a
-- certificate: from the first data key on, a PLAIN generation is no longer healthy.
CREATE TABLE dbo.MPE_DataKeys (
  DataKeyId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_DataKeys PRIMARY KEY,
  CreatedAt datetime2(3) NOT NULL,
  CreatedBy nvarchar(256) NOT NULL
);

-- Append-only: a data key wrapped to a certificate; a change of certificate adds rows here.
CREATE TABLE dbo.MPE_DataKeyWraps (
  DataKeyId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_DataKeyWraps_DataKey REFERENCES dbo.MPE_DataKeys (DataKeyId),
  CertificateThumbprint varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  Wrapped varchar(max) NOT NULL,
  WrappedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_DataKeyWraps PRIMARY KEY (DataKeyId, CertificateThumbprint)
);

CREATE TABLE dbo.MPE_Policies (
  PolicyId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_Policies PRIMARY KEY,
  Name nvarchar(512) NOT NULL,
  Mode varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_Policies_Mode CHECK (Mode IN ('OBSERVE', 'ESCROW', 'MANAGE')),
  TargetTag nvarchar(512) NULL,
  StorePackages bit NOT NULL,
  RemovableDrives bit NOT NULL,
  TpmOwnerAuth bit NOT NULL,
  CheckIntervalMinutes int NOT NULL
    CONSTRAINT CK_MPE_Policies_CheckInterval CHECK (CheckIntervalMinutes BETWEEN 1 AND 2880),
  CreatedAt datetime2(3) NOT NULL
);

CREATE TABLE dbo.MPE_EnrolmentTokens (
  TokenId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_EnrolmentTokens PRIMARY KEY,
  SecretHash varbinary(32) NOT NULL CONSTRAINT UQ_MPE_EnrolmentTokens_SecretHash UNIQUE
    CONSTRAINT CK_MPE_EnrolmentTokens_SecretHash CHECK (DATALENGTH(SecretHash) = 32),
  UsesAllowed int NOT NULL CONSTRAINT CK_MPE_EnrolmentTokens_UsesAllowed CHECK (UsesAllowed > 0),
  UsesLeft int NOT NULL,
  ExpiresAt datetime2(3) NOT NULL,
  Tag nvarchar(512) NOT NULL,
  RevokedAt datetime2(3) NULL,
  CreatedAt datetime2(3) NOT NULL,
  CONSTRAINT CK_MPE_EnrolmentTokens_UsesLeft CHECK (UsesLeft BETWEEN 0 AND UsesAllowed)
);

---------------------------------------------------------------------------------------------------
-- Clients

CREATE TABLE dbo.MPE_Clients (
  ClientId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_Clients PRIMARY KEY
    CONSTRAINT CK_MPE_Clients_ClientId CHECK (ClientId <> '00000000-0000-0000-0000-000000000000'),
  State varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_Clients_State CHECK (State IN ('ACTIVE', 'BLOCKED', 'PENDING')),
  -- Of the current key.
  Epoch int NOT NULL CONSTRAINT CK_MPE_Clients_Epoch CHECK (Epoch >= 1),
  MachineName nvarchar(512) NOT NULL,
  Domain nvarchar(512) NOT NULL,
  HardwareId nvarchar(512) NOT NULL,
  JoinType varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  -- Of the enrolment token, for policies that target a tag.
  Tag nvarchar(512) NOT NULL,
  RegisteredAt datetime2(3) NOT NULL
);

-- Append-only: one signing key an epoch; one key belongs to one client.
CREATE TABLE dbo.MPE_ClientKeys (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_ClientKeys_Client REFERENCES dbo.MPE_Clients (ClientId),
  Epoch int NOT NULL CONSTRAINT CK_MPE_ClientKeys_Epoch CHECK (Epoch >= 1),
  Kid varchar(128) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT UQ_MPE_ClientKeys_Kid UNIQUE,
  PublicJwk nvarchar(max) NOT NULL CONSTRAINT CK_MPE_ClientKeys_PublicJwk CHECK (ISJSON(PublicJwk) = 1),
  RegistrationId uniqueidentifier NOT NULL,
  ProvenByKid varchar(128) COLLATE Latin1_General_BIN2 NULL,
  TokenId uniqueidentifier NULL
    CONSTRAINT FK_MPE_ClientKeys_Token REFERENCES dbo.MPE_EnrolmentTokens (TokenId),
  RegisteredAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_ClientKeys PRIMARY KEY (ClientId, Epoch)
);

-- Append-only: something odd about one epoch of a client. The client id may be unregistered.
-- A new epoch is free of the flags of the one before.
CREATE TABLE dbo.MPE_ClientFlags (
  ClientId uniqueidentifier NOT NULL,
  Flag varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_ClientFlags_Flag CHECK (Flag IN ('CLONE')),
  Epoch int NOT NULL CONSTRAINT CK_MPE_ClientFlags_Epoch CHECK (Epoch >= 0),
  FlaggedAt datetime2(3) NOT NULL,
  Detail nvarchar(max) NOT NULL,
  CONSTRAINT PK_MPE_ClientFlags PRIMARY KEY (ClientId, Flag, Epoch)
);

-- Append-only: what operators did to a machine. Deleting or merging writes a row here and
-- re-points nothing.
CREATE TABLE dbo.MPE_MachineEvents (
  EventId bigint IDENTITY(1, 1) NOT NULL CONSTRAINT PK_MPE_MachineEvents PRIMARY KEY,
  ClientId uniqueidentifier NOT NULL,
  Event varchar(64) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT CK_MPE_MachineEvents_Event
    CHECK (Event IN ('DELETED', 'RESTORED', 'MERGED', 'BLOCKED', 'UNBLOCKED')),
  IntoClientId uniqueidentifier NULL,
  HappenedAt datetime2(3) NOT NULL,
  DoneBy nvarchar(256) NOT NULL
);
CREATE INDEX IX_MPE_MachineEvents_Client ON dbo.MPE_MachineEvents (ClientId, EventId);

---------------------------------------------------------------------------------------------------
-- Keys

-- Append-only: a volume that a report or a key named. Its type is a fact of the reports.
CREATE TABLE dbo.MPE_Volumes (
  VolumeId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_Volumes PRIMARY KEY,
  FirstSeenAt datetime2(3) NOT NULL
);

-- Append-only: identity alone. Kind 1 = recovery password, 2 = key package.
-- KeyIdPrefix: the first 8 digits, for `mpe keys find`. KeyIdText: the whole id as the published
-- view shows it, so that = and LIKE of people's queries find it by an index, in any case of letters.
CREATE TABLE dbo.MPE_Keys (
  Id bigint IDENTITY(1, 1) NOT NULL CONSTRAINT PK_MPE_Keys PRIMARY KEY,
  SecretId varbinary(32) NOT NULL CONSTRAINT UQ_MPE_Keys_SecretId UNIQUE
    CONSTRAINT CK_MPE_Keys_SecretId CHECK (DATALENGTH(SecretId) = 32),
  Kind int NOT NULL CONSTRAINT CK_MPE_Keys_Kind CHECK (Kind IN (1, 2)),
  KeyId uniqueidentifier NOT NULL,
  KeyIdPrefix char(8) COLLATE Latin1_General_BIN2 NOT NULL,
  KeyIdText AS (LOWER(CAST(KeyId AS varchar(36))) COLLATE Latin1_General_CI_AS) PERSISTED,
  VolumeId uniqueidentifier NOT NULL CONSTRAINT FK_MPE_Keys_Volume REFERENCES dbo.MPE_Volumes (VolumeId),
  FingerprintKeyId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_Keys_FingerprintKey REFERENCES dbo.MPE_FingerprintKeys (FingerprintKeyId),
  Fingerprint varbinary(32) NOT NULL
    CONSTRAINT CK_MPE_Keys_Fingerprint CHECK (DATALENGTH(Fingerprint) = 32),
  FirstStoredAt datetime2(3) NOT NULL,
  CONSTRAINT CK_MPE_Keys_KeyIdPrefix CHECK (KeyIdPrefix = LOWER(LEFT(CONVERT(char(36), KeyId), 8))),
  -- The key id first: Kind chooses nothing, and an index that starts with it invites whole scans.
  CONSTRAINT UQ_MPE_Keys_Identity UNIQUE (KeyId, VolumeId, Kind, FingerprintKeyId, Fingerprint)
);
CREATE INDEX IX_MPE_Keys_Prefix ON dbo.MPE_Keys (KeyIdPrefix, KeyId, VolumeId);
CREATE INDEX IX_MPE_Keys_Text ON dbo.MPE_Keys (KeyIdText);
CREATE INDEX IX_MPE_Keys_Volume ON dbo.MPE_Keys (VolumeId);

-- Append-only: ciphertexts of a key. Form 1 = plain, 2 = sealed under a data key.
CREATE TABLE dbo.MPE_KeySecrets (
  SecretId varbinary(32) NOT NULL CONSTRAINT FK_MPE_KeySecrets_Key REFERENCES dbo.MPE_Keys (SecretId),
  Generation int NOT NULL CONSTRAINT CK_MPE_KeySecrets_Generation CHECK (Generation >= 1),
  Form int NOT NULL CONSTRAINT CK_MPE_KeySecrets_Form CHECK (Form IN (1, 2)),
  DataKeyId uniqueidentifier NULL
    CONSTRAINT FK_MPE_KeySecrets_DataKey REFERENCES dbo.MPE_DataKeys (DataKeyId),
  Content varbinary(max) NOT NULL CONSTRAINT CK_MPE_KeySecrets_Content CHECK (DATALENGTH(Content) > 0),
  StoredAt datetime2(3) NOT NULL,
  -- The order of inserting: what reads new generations goes by it.
  RowNumber bigint IDENTITY(1, 1) NOT NULL CONSTRAINT UQ_MPE_KeySecrets_RowNumber UNIQUE,
  CONSTRAINT CK_MPE_KeySecrets_DataKey
    CHECK ((Form = 1 AND DataKeyId IS NULL) OR (Form = 2 AND DataKeyId IS NOT NULL)),
  CONSTRAINT PK_MPE_KeySecrets PRIMARY KEY (SecretId, Generation)
);

-- Append-only: which client sent which key, first time.
CREATE TABLE dbo.MPE_KeyProofs (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_KeyProofs_Client REFERENCES dbo.MPE_Clients (ClientId),
  SecretId varbinary(32) NOT NULL CONSTRAINT FK_MPE_KeyProofs_Key REFERENCES dbo.MPE_Keys (SecretId),
  MessageId uniqueidentifier NOT NULL,
  Epoch int NOT NULL,
  Sequence bigint NOT NULL,
  ProvenAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_KeyProofs PRIMARY KEY (ClientId, SecretId)
);
CREATE INDEX IX_MPE_KeyProofs_Secret ON dbo.MPE_KeyProofs (SecretId, ClientId) INCLUDE (ProvenAt);

-- Append-only: identity of a TPM owner authorization; its key id is the client id.
CREATE TABLE dbo.MPE_TpmOwnerAuths (
  Id bigint IDENTITY(1, 1) NOT NULL CONSTRAINT PK_MPE_TpmOwnerAuths PRIMARY KEY,
  SecretId varbinary(32) NOT NULL CONSTRAINT UQ_MPE_TpmOwnerAuths_SecretId UNIQUE
    CONSTRAINT CK_MPE_TpmOwnerAuths_SecretId CHECK (DATALENGTH(SecretId) = 32),
  ClientId uniqueidentifier NOT NULL,
  FingerprintKeyId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_TpmOwnerAuths_FingerprintKey REFERENCES dbo.MPE_FingerprintKeys (FingerprintKeyId),
  Fingerprint varbinary(32) NOT NULL
    CONSTRAINT CK_MPE_TpmOwnerAuths_Fingerprint CHECK (DATALENGTH(Fingerprint) = 32),
  FirstStoredAt datetime2(3) NOT NULL,
  CONSTRAINT UQ_MPE_TpmOwnerAuths_Identity UNIQUE (ClientId, FingerprintKeyId, Fingerprint)
);

-- Append-only: as MPE_KeySecrets.
CREATE TABLE dbo.MPE_TpmOwnerAuthSecrets (
  SecretId varbinary(32) NOT NULL
    CONSTRAINT FK_MPE_TpmOwnerAuthSecrets_Auth REFERENCES dbo.MPE_TpmOwnerAuths (SecretId),
  Generation int NOT NULL CONSTRAINT CK_MPE_TpmOwnerAuthSecrets_Generation CHECK (Generation >= 1),
  Form int NOT NULL CONSTRAINT CK_MPE_TpmOwnerAuthSecrets_Form CHECK (Form IN (1, 2)),
  DataKeyId uniqueidentifier NULL
    CONSTRAINT FK_MPE_TpmOwnerAuthSecrets_DataKey REFERENCES dbo.MPE_DataKeys (DataKeyId),
  Content varbinary(max) NOT NULL
    CONSTRAINT CK_MPE_TpmOwnerAuthSecrets_Content CHECK (DATALENGTH(Content) > 0),
  StoredAt datetime2(3) NOT NULL,
  RowNumber bigint IDENTITY(1, 1) NOT NULL CONSTRAINT UQ_MPE_TpmOwnerAuthSecrets_RowNumber UNIQUE,
  CONSTRAINT CK_MPE_TpmOwnerAuthSecrets_DataKey
    CHECK ((Form = 1 AND DataKeyId IS NULL) OR (Form = 2 AND DataKeyId IS NOT NULL)),
  CONSTRAINT PK_MPE_TpmOwnerAuthSecrets PRIMARY KEY (SecretId, Generation)
);

-- Append-only: as MPE_KeyProofs.
CREATE TABLE dbo.MPE_TpmOwnerAuthProofs (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_TpmOwnerAuthProofs_Client REFERENCES dbo.MPE_Clients (ClientId),
  SecretId varbinary(32) NOT NULL
    CONSTRAINT FK_MPE_TpmOwnerAuthProofs_Auth REFERENCES dbo.MPE_TpmOwnerAuths (SecretId),
  MessageId uniqueidentifier NOT NULL,
  Epoch int NOT NULL,
  Sequence bigint NOT NULL,
  ProvenAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_TpmOwnerAuthProofs PRIMARY KEY (ClientId, SecretId)
);

-- Append-only: a generation that does not open. It gets a successor when the key comes again.
CREATE TABLE dbo.MPE_SecretDamage (
  SecretId varbinary(32) NOT NULL,
  Generation int NOT NULL,
  FoundAt datetime2(3) NOT NULL,
  Reason nvarchar(max) NOT NULL,
  CONSTRAINT PK_MPE_SecretDamage PRIMARY KEY (SecretId, Generation)
);
GO

-- Plain text only on a site that never had a certificate. The commit answers "raced" before this
-- fires; the trigger is for everything else that might write here.
CREATE TRIGGER dbo.MPE_KeySecrets_NoPlain ON dbo.MPE_KeySecrets AFTER INSERT AS
IF EXISTS (SELECT 1 FROM inserted WHERE Form = 1) AND EXISTS (SELECT 1 FROM dbo.MPE_DataKeys)
  THROW 51002, N'plain text is refused on a site with a certificate', 1;
GO
CREATE TRIGGER dbo.MPE_TpmOwnerAuthSecrets_NoPlain ON dbo.MPE_TpmOwnerAuthSecrets AFTER INSERT AS
IF EXISTS (SELECT 1 FROM inserted WHERE Form = 1) AND EXISTS (SELECT 1 FROM dbo.MPE_DataKeys)
  THROW 51002, N'plain text is refused on a site with a certificate', 1;
GO

-- Generations that count: not damaged, and not plain once a data key exists.
CREATE VIEW dbo.MPE_HealthySecrets AS
SELECT s.SecretId, s.Generation FROM dbo.MPE_KeySecrets s
WHERE (s.Form = 2 OR NOT EXISTS (SELECT 1 FROM dbo.MPE_DataKeys))
  AND NOT EXISTS (SELECT 1 FROM dbo.MPE_SecretDamage d
                  WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation)
UNION ALL
SELECT s.SecretId, s.Generation FROM dbo.MPE_TpmOwnerAuthSecrets s
WHERE (s.Form = 2 OR NOT EXISTS (SELECT 1 FROM dbo.MPE_DataKeys))
  AND NOT EXISTS (SELECT 1 FROM dbo.MPE_SecretDamage d
                  WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation);
GO

---------------------------------------------------------------------------------------------------
-- What clients report: the highest rank (epoch, sequence, digest) of each client counts

-- KeyIds is a JSON array, sorted: the client's current set of protectors for the volume.
CREATE TABLE dbo.MPE_Reports (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_Reports_Client REFERENCES dbo.MPE_Clients (ClientId),
  VolumeId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_Reports_Volume REFERENCES dbo.MPE_Volumes (VolumeId),
  Epoch int NOT NULL CONSTRAINT CK_MPE_Reports_Epoch CHECK (Epoch >= 1),
  Sequence bigint NOT NULL CONSTRAINT CK_MPE_Reports_Sequence CHECK (Sequence >= 1),
  Digest varbinary(32) NOT NULL CONSTRAINT CK_MPE_Reports_Digest CHECK (DATALENGTH(Digest) = 32),
  MessageId uniqueidentifier NOT NULL,
  VolumeType int NOT NULL CONSTRAINT CK_MPE_Reports_VolumeType CHECK (VolumeType BETWEEN 0 AND 3),
  DriveLabel nvarchar(128) NOT NULL,
  Protection int NOT NULL CONSTRAINT CK_MPE_Reports_Protection CHECK (Protection BETWEEN 0 AND 3),
  KeyIds nvarchar(max) NOT NULL
    CONSTRAINT CK_MPE_Reports_KeyIds CHECK (ISJSON(KeyIds) = 1 AND LEFT(KeyIds, 1) = '['),
  ReportedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_Reports PRIMARY KEY (ClientId, VolumeId)
);
-- In the order in which the published view asks for the newest.
CREATE INDEX IX_MPE_Reports_Volume ON dbo.MPE_Reports (VolumeId, ReportedAt, ClientId) INCLUDE (VolumeType);

CREATE TABLE dbo.MPE_ClientStates (
  ClientId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_ClientStates PRIMARY KEY
    CONSTRAINT FK_MPE_ClientStates_Client REFERENCES dbo.MPE_Clients (ClientId),
  Epoch int NOT NULL CONSTRAINT CK_MPE_ClientStates_Epoch CHECK (Epoch >= 1),
  Sequence bigint NOT NULL CONSTRAINT CK_MPE_ClientStates_Sequence CHECK (Sequence >= 1),
  Digest varbinary(32) NOT NULL CONSTRAINT CK_MPE_ClientStates_Digest CHECK (DATALENGTH(Digest) = 32),
  MessageId uniqueidentifier NOT NULL,
  MachineName nvarchar(512) NOT NULL,
  Domain nvarchar(512) NOT NULL,
  OtherManagers nvarchar(max) NOT NULL CONSTRAINT CK_MPE_ClientStates_OtherManagers
    CHECK (ISJSON(OtherManagers) = 1 AND LEFT(OtherManagers, 1) = '['),
  LastErrorCode bigint NULL,
  LastErrorText nvarchar(512) NULL,
  LastErrorAt datetime2(3) NULL,
  ReportedAt datetime2(3) NOT NULL
);

-- Users who signed in locally, of the state above, distinct, in the order of the message. The key
-- is the place and not the name: two names may be equal by the database's collation, and domain and
-- name together may be longer than a key can be.
CREATE TABLE dbo.MPE_ClientUsers (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_ClientUsers_State REFERENCES dbo.MPE_ClientStates (ClientId),
  Position int NOT NULL CONSTRAINT CK_MPE_ClientUsers_Position CHECK (Position >= 0),
  Domain nvarchar(512) NOT NULL,
  Name nvarchar(512) NOT NULL,
  ReportedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_ClientUsers PRIMARY KEY (ClientId, Position)
);
GO

-- A row of `deleted` without its row of `inserted` was given another key: nobody does that.
CREATE TRIGGER dbo.MPE_Reports_Rank ON dbo.MPE_Reports AFTER UPDATE AS
IF EXISTS (
  SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.ClientId = d.ClientId AND i.VolumeId = d.VolumeId
  WHERE i.ClientId IS NULL OR i.Epoch < d.Epoch
    OR (i.Epoch = d.Epoch AND i.Sequence < d.Sequence)
    OR (i.Epoch = d.Epoch AND i.Sequence = d.Sequence AND i.Digest < d.Digest))
  THROW 51003, N'a report is never replaced by one of a lower rank', 1;
GO
CREATE TRIGGER dbo.MPE_ClientStates_Rank ON dbo.MPE_ClientStates AFTER UPDATE AS
IF EXISTS (
  SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.ClientId = d.ClientId
  WHERE i.ClientId IS NULL OR i.Epoch < d.Epoch
    OR (i.Epoch = d.Epoch AND i.Sequence < d.Sequence)
    OR (i.Epoch = d.Epoch AND i.Sequence = d.Sequence AND i.Digest < d.Digest))
  THROW 51003, N'a state is never replaced by one of a lower rank', 1;
GO

---------------------------------------------------------------------------------------------------
-- Messages

-- The fence: one row a message. Disposition 0 rejected, 1 quarantined, 2 partial, 3 committed;
-- 3 is final, any other may only move up.
CREATE TABLE dbo.MPE_Outcomes (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_Outcomes_Client REFERENCES dbo.MPE_Clients (ClientId),
  MessageId uniqueidentifier NOT NULL,
  Digest varbinary(32) NOT NULL CONSTRAINT CK_MPE_Outcomes_Digest CHECK (DATALENGTH(Digest) = 32),
  BodyType varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  Epoch int NOT NULL CONSTRAINT CK_MPE_Outcomes_Epoch CHECK (Epoch >= 1),
  Sequence bigint NOT NULL CONSTRAINT CK_MPE_Outcomes_Sequence CHECK (Sequence >= 0),
  Disposition int NOT NULL CONSTRAINT CK_MPE_Outcomes_Disposition CHECK (Disposition BETWEEN 0 AND 3),
  Reason varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  SealedReply varchar(max) NOT NULL,
  Attempts int NOT NULL CONSTRAINT CK_MPE_Outcomes_Attempts CHECK (Attempts >= 1),
  Stages nvarchar(max) NOT NULL
    CONSTRAINT CK_MPE_Outcomes_Stages CHECK (ISJSON(Stages) = 1 AND LEFT(Stages, 1) = '['),
  ReceivedAt datetime2(3) NOT NULL,
  DecidedAt datetime2(3) NOT NULL,
  DecidedBy nvarchar(256) NOT NULL,
  CONSTRAINT PK_MPE_Outcomes PRIMARY KEY (ClientId, MessageId)
);
CREATE INDEX IX_MPE_Outcomes_Sequence ON dbo.MPE_Outcomes (ClientId, Epoch, Sequence, MessageId);
CREATE INDEX IX_MPE_Outcomes_Message ON dbo.MPE_Outcomes (MessageId);
CREATE INDEX IX_MPE_Outcomes_Decided ON dbo.MPE_Outcomes (DecidedAt);
GO
CREATE TRIGGER dbo.MPE_Outcomes_Up ON dbo.MPE_Outcomes AFTER UPDATE AS
IF EXISTS (
  SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.ClientId = d.ClientId AND i.MessageId = d.MessageId
  WHERE i.ClientId IS NULL OR d.Disposition = 3 OR i.Disposition < d.Disposition OR i.Digest <> d.Digest)
  THROW 51004, N'an outcome only moves up, and COMMITTED is final', 1;
GO

-- Messages kept sealed. The client id is what the channel authenticated, registered or not.
CREATE TABLE dbo.MPE_Quarantine (
  ClientId uniqueidentifier NOT NULL,
  MessageId uniqueidentifier NOT NULL,
  BodyType int NOT NULL,
  Reason varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  Kid varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  Sealed varchar(max) NOT NULL,
  Attempts int NOT NULL CONSTRAINT CK_MPE_Quarantine_Attempts CHECK (Attempts >= 1),
  FirstAt datetime2(3) NOT NULL,
  LastAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_Quarantine PRIMARY KEY (ClientId, MessageId)
);
CREATE INDEX IX_MPE_Quarantine_Message ON dbo.MPE_Quarantine (MessageId);

-- HasSealed: a filtered index cannot look at varchar(max), so what SQLite filters by is a column.
CREATE TABLE dbo.MPE_DeadLetters (
  ClientId uniqueidentifier NOT NULL,
  MessageId uniqueidentifier NOT NULL,
  BodyType int NOT NULL,
  Cause varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  Detail nvarchar(max) NOT NULL,
  Sealed varchar(max) NOT NULL,
  HasSealed AS CAST(CASE WHEN Sealed = '' THEN 0 ELSE 1 END AS int) PERSISTED,
  -- The release that gave up.
  ReleaseName varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  Resends int NOT NULL CONSTRAINT CK_MPE_DeadLetters_Resends CHECK (Resends >= 0),
  DeadAt datetime2(3) NOT NULL,
  RedrivenAt datetime2(3) NULL,
  CONSTRAINT PK_MPE_DeadLetters PRIMARY KEY (ClientId, MessageId)
);
CREATE INDEX IX_MPE_DeadLetters_Message ON dbo.MPE_DeadLetters (MessageId);
CREATE INDEX IX_MPE_DeadLetters_Sealed ON dbo.MPE_DeadLetters (HasSealed, DeadAt);

---------------------------------------------------------------------------------------------------
-- Rotation, exposure, audit

CREATE TABLE dbo.MPE_RotationRequests (
  RequestId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_RotationRequests PRIMARY KEY,
  VolumeId uniqueidentifier NOT NULL,
  KeyId uniqueidentifier NOT NULL,
  Deadline datetime2(3) NOT NULL,
  OpenedAt datetime2(3) NOT NULL,
  -- Null while open; then COMPLETED, REPLACED or ABANDONED.
  ClosedAs varchar(64) COLLATE Latin1_General_BIN2 NULL CONSTRAINT CK_MPE_RotationRequests_ClosedAs
    CHECK (ClosedAs IN ('COMPLETED', 'REPLACED', 'ABANDONED')),
  ClosedAt datetime2(3) NULL,
  CONSTRAINT CK_MPE_RotationRequests_Closed
    CHECK ((ClosedAs IS NULL AND ClosedAt IS NULL) OR (ClosedAs IS NOT NULL AND ClosedAt IS NOT NULL))
);
CREATE INDEX IX_MPE_RotationRequests_Open ON dbo.MPE_RotationRequests (VolumeId, KeyId) WHERE ClosedAt IS NULL;

-- Append-only: what clients claim about a request. Never evidence.
CREATE TABLE dbo.MPE_RotationReports (
  RequestId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_RotationReports_Request REFERENCES dbo.MPE_RotationRequests (RequestId),
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_RotationReports_Client REFERENCES dbo.MPE_Clients (ClientId),
  MessageId uniqueidentifier NOT NULL,
  Epoch int NOT NULL,
  Sequence bigint NOT NULL,
  Outcome varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  ErrorCode bigint NULL,
  ErrorText nvarchar(512) NULL,
  NewKeyId uniqueidentifier NULL,
  ReportedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_RotationReports PRIMARY KEY (RequestId, ClientId, MessageId)
);

-- Append-only: a key was shown. Exposure is a fact of a key.
CREATE TABLE dbo.MPE_Exposures (
  ExposureId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_Exposures PRIMARY KEY,
  KeyId uniqueidentifier NOT NULL,
  VolumeId uniqueidentifier NOT NULL,
  ExposedAt datetime2(3) NOT NULL,
  Cause varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  AuditSequence bigint NULL
);
CREATE INDEX IX_MPE_Exposures_Key ON dbo.MPE_Exposures (KeyId);

-- Append-only: the highest rank of each client that had proven the key when it was exposed.
CREATE TABLE dbo.MPE_ExposureRanks (
  ExposureId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_ExposureRanks_Exposure REFERENCES dbo.MPE_Exposures (ExposureId),
  ClientId uniqueidentifier NOT NULL,
  Epoch int NOT NULL,
  Sequence bigint NOT NULL,
  Digest varbinary(32) NOT NULL CONSTRAINT CK_MPE_ExposureRanks_Digest CHECK (DATALENGTH(Digest) = 32),
  CONSTRAINT PK_MPE_ExposureRanks PRIMARY KEY (ExposureId, ClientId)
);

-- Append-only: who asked for which key, with what result; each row's hash covers the one before.
-- The texts are hashed as they are, so none of them may be cut: nvarchar(max).
CREATE TABLE dbo.MPE_Audit (
  Sequence bigint NOT NULL CONSTRAINT PK_MPE_Audit PRIMARY KEY
    CONSTRAINT CK_MPE_Audit_Sequence CHECK (Sequence >= 1),
  HappenedAt datetime2(3) NOT NULL,
  Source nvarchar(max) NOT NULL,
  Result varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_Audit_Result CHECK (Result IN ('Successful', 'Failed')),
  HelpdeskUser nvarchar(max) NOT NULL,
  EndUser nvarchar(max) NOT NULL,
  Machine nvarchar(max) NOT NULL,
  KeyType nvarchar(max) NOT NULL,
  KeyId nvarchar(max) NOT NULL,
  Reason nvarchar(max) NOT NULL,
  Ticket nvarchar(max) NOT NULL,
  Detail nvarchar(max) NOT NULL,
  PreviousHash varbinary(32) NOT NULL
    CONSTRAINT CK_MPE_Audit_PreviousHash CHECK (DATALENGTH(PreviousHash) = 32),
  Hash varbinary(32) NOT NULL CONSTRAINT UQ_MPE_Audit_Hash UNIQUE
    CONSTRAINT CK_MPE_Audit_Hash CHECK (DATALENGTH(Hash) = 32)
);

-- The end of the chain; updating it puts writers in a row.
CREATE TABLE dbo.MPE_AuditHead (
  Id int NOT NULL CONSTRAINT PK_MPE_AuditHead PRIMARY KEY CONSTRAINT CK_MPE_AuditHead_One CHECK (Id = 1),
  Sequence bigint NOT NULL CONSTRAINT CK_MPE_AuditHead_Sequence CHECK (Sequence >= 0),
  Hash varbinary(32) NOT NULL CONSTRAINT CK_MPE_AuditHead_Hash CHECK (DATALENGTH(Hash) = 32)
);
INSERT INTO dbo.MPE_AuditHead (Id, Sequence, Hash)
VALUES (1, 0, 0x0000000000000000000000000000000000000000000000000000000000000000);

---------------------------------------------------------------------------------------------------
-- Operations

CREATE TABLE dbo.MPE_ManagementPoints (
  ManagementPointId nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT PK_MPE_ManagementPoints PRIMARY KEY,
  Channel varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_ManagementPoints_Channel CHECK (Channel IN ('HTTPS', 'ENHANCED_HTTP', 'HTTP')),
  Address nvarchar(1024) NOT NULL,
  FirstSeenAt datetime2(3) NOT NULL,
  LastSeenAt datetime2(3) NOT NULL
);

-- Readiness writes here.
CREATE TABLE dbo.MPE_Probe (
  ProbedBy nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_Probe PRIMARY KEY,
  Count bigint NOT NULL,
  ProbedAt datetime2(3) NOT NULL
);
GO

---------------------------------------------------------------------------------------------------
-- Append-only and never-deleted tables. A statement that would change no row is let through.

CREATE TRIGGER dbo.MPE_SiteDocuments_AppendOnly ON dbo.MPE_SiteDocuments AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_SiteDocuments is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_FingerprintKeys_AppendOnly ON dbo.MPE_FingerprintKeys AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_FingerprintKeys is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_DataKeys_AppendOnly ON dbo.MPE_DataKeys AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_DataKeys is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_DataKeyWraps_AppendOnly ON dbo.MPE_DataKeyWraps AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_DataKeyWraps is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_ClientKeys_AppendOnly ON dbo.MPE_ClientKeys AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_ClientKeys is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_ClientFlags_AppendOnly ON dbo.MPE_ClientFlags AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_ClientFlags is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_MachineEvents_AppendOnly ON dbo.MPE_MachineEvents AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_MachineEvents is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_Volumes_AppendOnly ON dbo.MPE_Volumes AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_Volumes is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_Keys_AppendOnly ON dbo.MPE_Keys AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_Keys is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_KeySecrets_AppendOnly ON dbo.MPE_KeySecrets AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_KeySecrets is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_KeyProofs_AppendOnly ON dbo.MPE_KeyProofs AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_KeyProofs is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_TpmOwnerAuths_AppendOnly ON dbo.MPE_TpmOwnerAuths AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_TpmOwnerAuths is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_TpmOwnerAuthSecrets_AppendOnly ON dbo.MPE_TpmOwnerAuthSecrets AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_TpmOwnerAuthSecrets is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_TpmOwnerAuthProofs_AppendOnly ON dbo.MPE_TpmOwnerAuthProofs AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_TpmOwnerAuthProofs is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_SecretDamage_AppendOnly ON dbo.MPE_SecretDamage AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_SecretDamage is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_RotationReports_AppendOnly ON dbo.MPE_RotationReports AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_RotationReports is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_Exposures_AppendOnly ON dbo.MPE_Exposures AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_Exposures is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_ExposureRanks_AppendOnly ON dbo.MPE_ExposureRanks AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_ExposureRanks is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_Audit_AppendOnly ON dbo.MPE_Audit AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_Audit is append-only', 1;
GO
CREATE TRIGGER dbo.MPE_Clients_Epoch ON dbo.MPE_Clients AFTER UPDATE AS
IF EXISTS (SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.ClientId = d.ClientId
           WHERE i.ClientId IS NULL OR i.Epoch < d.Epoch)
  THROW 51006, N'an epoch only goes up', 1;
GO
CREATE TRIGGER dbo.MPE_Clients_NoDelete ON dbo.MPE_Clients AFTER DELETE AS
IF EXISTS (SELECT 1 FROM deleted)
  THROW 51001, N'a client is never deleted: write a MPE_MachineEvents row', 1;
GO
CREATE TRIGGER dbo.MPE_AuditHead_Forward ON dbo.MPE_AuditHead AFTER UPDATE AS
IF EXISTS (SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.Id = d.Id
           WHERE i.Id IS NULL OR i.Sequence <> d.Sequence + 1)
  THROW 51005, N'the audit chain only grows', 1;
GO
CREATE TRIGGER dbo.MPE_AuditHead_NoDelete ON dbo.MPE_AuditHead AFTER DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51005, N'the audit chain only grows', 1;
GO

---------------------------------------------------------------------------------------------------
-- Published names, for the queries that people already have

CREATE VIEW dbo.RecoveryAndHardwareCore_VolumeTypes AS
SELECT 0 AS Id, N'Unknown' AS TypeName
UNION ALL SELECT 1, N'Operating System Drive'
UNION ALL SELECT 2, N'Fixed Data Drive'
UNION ALL SELECT 3, N'Removable Data Drive';
GO

-- The name is what the machine last said of itself.
CREATE VIEW dbo.RecoveryAndHardwareCore_Machines AS
SELECT
  c.ClientId AS Id,
  COALESCE(NULLIF(s.MachineName, N''), c.MachineName) AS Name,
  COALESCE(NULLIF(s.Domain, N''), c.Domain) AS DomainName,
  CASE WHEN s.ReportedAt > c.RegisteredAt THEN s.ReportedAt ELSE c.RegisteredAt END AS LastUpdateTime,
  CAST(CASE (SELECT TOP (1) e.Event FROM dbo.MPE_MachineEvents e
             WHERE e.ClientId = c.ClientId AND e.Event IN ('DELETED', 'RESTORED')
             ORDER BY e.EventId DESC)
       WHEN 'DELETED' THEN 1 ELSE 0 END AS bit) AS Deleted
FROM dbo.MPE_Clients c LEFT JOIN dbo.MPE_ClientStates s ON s.ClientId = c.ClientId;
GO

CREATE VIEW dbo.RecoveryAndHardwareCore_Machines_Users AS
SELECT
  u.ClientId AS MachineId,
  u.Domain + N'\' + u.Name AS UserId,
  u.Domain AS DomainName,
  u.Name AS UserName,
  u.ReportedAt AS LastUpdateTime
FROM dbo.MPE_ClientUsers u;
GO

-- A volume belongs to every machine that reported it or sent a key of it.
CREATE VIEW dbo.RecoveryAndHardwareCore_Machines_Volumes AS
SELECT r.ClientId AS MachineId, r.VolumeId FROM dbo.MPE_Reports r
UNION
SELECT p.ClientId, k.VolumeId FROM dbo.MPE_KeyProofs p JOIN dbo.MPE_Keys k ON k.SecretId = p.SecretId;
GO

-- The newest report's type.
CREATE VIEW dbo.RecoveryAndHardwareCore_Volumes AS
SELECT
  v.VolumeId AS Id,
  COALESCE((SELECT TOP (1) r.VolumeType FROM dbo.MPE_Reports r WHERE r.VolumeId = v.VolumeId
            ORDER BY r.ReportedAt DESC, r.ClientId DESC), 0) AS VolumeTypeId
FROM dbo.MPE_Volumes v;
GO

-- One row a recovery password: two rows for one key id are a conflict. RecoveryKeyId is text, lower
-- case with hyphens: what people's queries compare and search with LIKE. RecoveryKey is varbinary,
-- as stored: ciphertext where sealed, as the functions that open it take it; the UTF-8 bytes of the
-- password on a test site without a certificate, where CONVERT(varchar(max), RecoveryKey) shows it.
-- NULL where every generation is damaged.
CREATE VIEW dbo.RecoveryAndHardwareCore_Keys AS
SELECT
  k.Id,
  k.VolumeId,
  k.KeyIdText AS RecoveryKeyId,
  (SELECT TOP (1) s.Content FROM dbo.MPE_KeySecrets s
   WHERE s.SecretId = k.SecretId
     AND NOT EXISTS (SELECT 1 FROM dbo.MPE_SecretDamage d
                     WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation)
   ORDER BY s.Generation DESC) AS RecoveryKey,
  (SELECT MAX(t.Happened) FROM (
     SELECT k.FirstStoredAt AS Happened
     UNION ALL SELECT s.StoredAt FROM dbo.MPE_KeySecrets s WHERE s.SecretId = k.SecretId
     UNION ALL SELECT p.ProvenAt FROM dbo.MPE_KeyProofs p WHERE p.SecretId = k.SecretId) t) AS LastUpdateTime,
  CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.MPE_Exposures e WHERE e.KeyId = k.KeyId)
       THEN 1 ELSE 0 END AS bit) AS Disclosed
FROM dbo.MPE_Keys k WHERE k.Kind = 1;
GO

-- What is not processed, with its exception. The collation is written out because words and texts
-- have different ones.
CREATE VIEW dbo.MPE_RequestMessages_Instant AS
SELECT d.MessageId AS MessageID, d.ClientId,
  (CAST(d.Cause AS nvarchar(max)) COLLATE Latin1_General_CI_AS) + N': '
    + (d.Detail COLLATE Latin1_General_CI_AS) AS Exception
FROM dbo.MPE_DeadLetters d
UNION ALL
SELECT q.MessageId, q.ClientId,
  (CAST(q.Reason AS nvarchar(max)) COLLATE Latin1_General_CI_AS)
    + CASE WHEN q.Kid = '' THEN N'' ELSE N': kid ' + (CAST(q.Kid AS nvarchar(max)) COLLATE Latin1_General_CI_AS) END
FROM dbo.MPE_Quarantine q
WHERE NOT EXISTS (SELECT 1 FROM dbo.MPE_DeadLetters d WHERE d.ClientId = q.ClientId AND d.MessageId = q.MessageId);
GO
