-- The site database, first version.
--
-- Conventions
--   * GUIDs are text, 36 characters, lower case (src/protocol/guid.ts). Key ids compare without
--     case, so that published queries work however their author writes a GUID.
--   * Times are INTEGER milliseconds since 1970-01-01T00:00:00Z: exact, ordered, without a zone.
--     The published views show them as 'YYYY-MM-DD HH:MM:SS.mmm' in UTC.
--   * Sequences are 64-bit INTEGERs and are read as bigint.
--   * Disclosed, LastUpdateTime, "superseded" and conflicts are derived by queries, never stored.
--   * Tables marked "append-only" refuse UPDATE and DELETE by trigger.
--   * A release that cannot run on a schema is told so by a line `--! breaking` in the migration.

---------------------------------------------------------------------------------------------------
-- The site and its keys

CREATE TABLE MPE_Site (
  Id INTEGER PRIMARY KEY CHECK (Id = 1),
  SiteGuid TEXT NOT NULL CHECK (length(SiteGuid) = 36),
  Name TEXT NOT NULL,
  RootThumbprint TEXT NOT NULL,
  TestSite INTEGER NOT NULL CHECK (TestSite IN (0, 1)),
  SiteVersion TEXT NOT NULL,
  CreatedAt INTEGER NOT NULL
) STRICT;

-- Append-only: every version of the site document.
CREATE TABLE MPE_SiteDocuments (
  Version INTEGER PRIMARY KEY CHECK (Version > 0),
  Jws TEXT NOT NULL,
  StoredAt INTEGER NOT NULL
) STRICT;

-- Sealing keys; the private part is a JWE under the worker secret.
CREATE TABLE MPE_SealingKeys (
  Kid TEXT NOT NULL PRIMARY KEY,
  Alg TEXT NOT NULL CHECK (Alg IN ('RSA-OAEP-256', 'ECDH-ES+A256KW')),
  PublicJwk TEXT NOT NULL,
  WrappedPrivate TEXT NOT NULL,
  State TEXT NOT NULL CHECK (State IN ('ACTIVE', 'RETIRED')),
  CreatedAt INTEGER NOT NULL
) STRICT;

-- Append-only: the fingerprint key is never rotated while running.
CREATE TABLE MPE_FingerprintKeys (
  FingerprintKeyId TEXT NOT NULL PRIMARY KEY CHECK (length(FingerprintKeyId) = 36),
  Wrapped TEXT NOT NULL,
  CreatedAt INTEGER NOT NULL
) STRICT;

-- Append-only: a data key. Its existence is how the database knows that the site has a
-- certificate: from the first data key on, a PLAIN generation is no longer healthy.
CREATE TABLE MPE_DataKeys (
  DataKeyId TEXT NOT NULL PRIMARY KEY CHECK (length(DataKeyId) = 36),
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL
) STRICT;

-- Append-only: a data key wrapped to a certificate; a change of certificate adds rows here.
CREATE TABLE MPE_DataKeyWraps (
  DataKeyId TEXT NOT NULL REFERENCES MPE_DataKeys (DataKeyId),
  CertificateThumbprint TEXT NOT NULL,
  Wrapped TEXT NOT NULL,
  WrappedAt INTEGER NOT NULL,
  PRIMARY KEY (DataKeyId, CertificateThumbprint)
) STRICT;

CREATE TABLE MPE_Policies (
  PolicyId TEXT NOT NULL PRIMARY KEY CHECK (length(PolicyId) = 36),
  Name TEXT NOT NULL,
  Mode TEXT NOT NULL CHECK (Mode IN ('OBSERVE', 'ESCROW', 'MANAGE')),
  TargetTag TEXT NULL,
  StorePackages INTEGER NOT NULL CHECK (StorePackages IN (0, 1)),
  RemovableDrives INTEGER NOT NULL CHECK (RemovableDrives IN (0, 1)),
  TpmOwnerAuth INTEGER NOT NULL CHECK (TpmOwnerAuth IN (0, 1)),
  CheckIntervalMinutes INTEGER NOT NULL CHECK (CheckIntervalMinutes BETWEEN 1 AND 2880),
  CreatedAt INTEGER NOT NULL
) STRICT;

CREATE TABLE MPE_EnrolmentTokens (
  TokenId TEXT NOT NULL PRIMARY KEY CHECK (length(TokenId) = 36),
  SecretHash BLOB NOT NULL UNIQUE CHECK (length(SecretHash) = 32),
  UsesAllowed INTEGER NOT NULL CHECK (UsesAllowed > 0),
  UsesLeft INTEGER NOT NULL CHECK (UsesLeft BETWEEN 0 AND UsesAllowed),
  ExpiresAt INTEGER NOT NULL,
  Tag TEXT NOT NULL,
  RevokedAt INTEGER NULL,
  CreatedAt INTEGER NOT NULL
) STRICT;

---------------------------------------------------------------------------------------------------
-- Clients

CREATE TABLE MPE_Clients (
  ClientId TEXT NOT NULL PRIMARY KEY
    CHECK (length(ClientId) = 36 AND ClientId <> '00000000-0000-0000-0000-000000000000'),
  State TEXT NOT NULL CHECK (State IN ('ACTIVE', 'BLOCKED', 'PENDING')),
  -- Of the current key.
  Epoch INTEGER NOT NULL CHECK (Epoch >= 1),
  MachineName TEXT NOT NULL,
  Domain TEXT NOT NULL,
  HardwareId TEXT NOT NULL,
  JoinType TEXT NOT NULL,
  -- Of the enrolment token, for policies that target a tag.
  Tag TEXT NOT NULL,
  RegisteredAt INTEGER NOT NULL
) STRICT;

-- Append-only: one signing key an epoch; one key belongs to one client.
CREATE TABLE MPE_ClientKeys (
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  Epoch INTEGER NOT NULL CHECK (Epoch >= 1),
  Kid TEXT NOT NULL UNIQUE,
  PublicJwk TEXT NOT NULL,
  RegistrationId TEXT NOT NULL,
  ProvenByKid TEXT NULL,
  TokenId TEXT NULL REFERENCES MPE_EnrolmentTokens (TokenId),
  RegisteredAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, Epoch)
) STRICT;

-- Append-only: something odd about one epoch of a client. The client id may be unregistered.
-- A new epoch is free of the flags of the one before.
CREATE TABLE MPE_ClientFlags (
  ClientId TEXT NOT NULL,
  Flag TEXT NOT NULL CHECK (Flag IN ('CLONE')),
  Epoch INTEGER NOT NULL CHECK (Epoch >= 0),
  FlaggedAt INTEGER NOT NULL,
  Detail TEXT NOT NULL,
  PRIMARY KEY (ClientId, Flag, Epoch)
) STRICT;

-- Append-only: what operators did to a machine. Deleting or merging writes a row here and
-- re-points nothing.
CREATE TABLE MPE_MachineEvents (
  EventId INTEGER PRIMARY KEY,
  ClientId TEXT NOT NULL,
  Event TEXT NOT NULL CHECK (Event IN ('DELETED', 'RESTORED', 'MERGED', 'BLOCKED', 'UNBLOCKED')),
  IntoClientId TEXT NULL,
  HappenedAt INTEGER NOT NULL,
  DoneBy TEXT NOT NULL
) STRICT;
CREATE INDEX MPE_MachineEvents_Client ON MPE_MachineEvents (ClientId, EventId);

---------------------------------------------------------------------------------------------------
-- Keys

-- Append-only: a volume that a report or a key named. Its type is a fact of the reports.
CREATE TABLE MPE_Volumes (
  VolumeId TEXT NOT NULL PRIMARY KEY CHECK (length(VolumeId) = 36),
  FirstSeenAt INTEGER NOT NULL
) STRICT;

-- Append-only: identity alone. Kind 1 = recovery password, 2 = key package.
CREATE TABLE MPE_Keys (
  Id INTEGER PRIMARY KEY,
  SecretId BLOB NOT NULL UNIQUE CHECK (length(SecretId) = 32),
  Kind INTEGER NOT NULL CHECK (Kind IN (1, 2)),
  KeyId TEXT NOT NULL COLLATE NOCASE CHECK (length(KeyId) = 36),
  KeyIdPrefix TEXT NOT NULL CHECK (KeyIdPrefix = substr(KeyId, 1, 8)),
  VolumeId TEXT NOT NULL REFERENCES MPE_Volumes (VolumeId),
  FingerprintKeyId TEXT NOT NULL REFERENCES MPE_FingerprintKeys (FingerprintKeyId),
  Fingerprint BLOB NOT NULL CHECK (length(Fingerprint) = 32),
  FirstStoredAt INTEGER NOT NULL,
  -- The key id first: Kind chooses nothing, and an index that starts with it invites whole scans.
  UNIQUE (KeyId, VolumeId, Kind, FingerprintKeyId, Fingerprint)
) STRICT;
CREATE INDEX MPE_Keys_Prefix ON MPE_Keys (KeyIdPrefix, KeyId, VolumeId);
CREATE INDEX MPE_Keys_Volume ON MPE_Keys (VolumeId);

-- Append-only: ciphertexts of a key. Form 1 = plain, 2 = sealed under a data key.
CREATE TABLE MPE_KeySecrets (
  SecretId BLOB NOT NULL REFERENCES MPE_Keys (SecretId),
  Generation INTEGER NOT NULL CHECK (Generation >= 1),
  Form INTEGER NOT NULL CHECK (Form IN (1, 2)),
  DataKeyId TEXT NULL REFERENCES MPE_DataKeys (DataKeyId) CHECK ((DataKeyId IS NULL) = (Form = 1)),
  Content BLOB NOT NULL CHECK (length(Content) > 0),
  StoredAt INTEGER NOT NULL,
  PRIMARY KEY (SecretId, Generation)
) STRICT;

-- Append-only: which client sent which key, first time.
CREATE TABLE MPE_KeyProofs (
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  SecretId BLOB NOT NULL REFERENCES MPE_Keys (SecretId),
  MessageId TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Sequence INTEGER NOT NULL,
  ProvenAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, SecretId)
) STRICT;
CREATE INDEX MPE_KeyProofs_Secret ON MPE_KeyProofs (SecretId);

-- Append-only: identity of a TPM owner authorization; its key id is the client id.
CREATE TABLE MPE_TpmOwnerAuths (
  Id INTEGER PRIMARY KEY,
  SecretId BLOB NOT NULL UNIQUE CHECK (length(SecretId) = 32),
  ClientId TEXT NOT NULL CHECK (length(ClientId) = 36),
  FingerprintKeyId TEXT NOT NULL REFERENCES MPE_FingerprintKeys (FingerprintKeyId),
  Fingerprint BLOB NOT NULL CHECK (length(Fingerprint) = 32),
  FirstStoredAt INTEGER NOT NULL,
  UNIQUE (ClientId, FingerprintKeyId, Fingerprint)
) STRICT;

-- Append-only: as MPE_KeySecrets.
CREATE TABLE MPE_TpmOwnerAuthSecrets (
  SecretId BLOB NOT NULL REFERENCES MPE_TpmOwnerAuths (SecretId),
  Generation INTEGER NOT NULL CHECK (Generation >= 1),
  Form INTEGER NOT NULL CHECK (Form IN (1, 2)),
  DataKeyId TEXT NULL REFERENCES MPE_DataKeys (DataKeyId) CHECK ((DataKeyId IS NULL) = (Form = 1)),
  Content BLOB NOT NULL CHECK (length(Content) > 0),
  StoredAt INTEGER NOT NULL,
  PRIMARY KEY (SecretId, Generation)
) STRICT;

-- Append-only: as MPE_KeyProofs.
CREATE TABLE MPE_TpmOwnerAuthProofs (
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  SecretId BLOB NOT NULL REFERENCES MPE_TpmOwnerAuths (SecretId),
  MessageId TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Sequence INTEGER NOT NULL,
  ProvenAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, SecretId)
) STRICT;

-- Append-only: a generation that does not open. It gets a successor when the key comes again.
CREATE TABLE MPE_SecretDamage (
  SecretId BLOB NOT NULL,
  Generation INTEGER NOT NULL,
  FoundAt INTEGER NOT NULL,
  Reason TEXT NOT NULL,
  PRIMARY KEY (SecretId, Generation)
) STRICT;

-- Plain text only on a site that never had a certificate. The commit answers "raced" before this
-- fires; the trigger is for everything else that might write here.
CREATE TRIGGER MPE_KeySecrets_NoPlain BEFORE INSERT ON MPE_KeySecrets
WHEN NEW.Form = 1 AND EXISTS (SELECT 1 FROM MPE_DataKeys)
BEGIN SELECT RAISE(ABORT, 'plain text is refused on a site with a certificate'); END;
CREATE TRIGGER MPE_TpmOwnerAuthSecrets_NoPlain BEFORE INSERT ON MPE_TpmOwnerAuthSecrets
WHEN NEW.Form = 1 AND EXISTS (SELECT 1 FROM MPE_DataKeys)
BEGIN SELECT RAISE(ABORT, 'plain text is refused on a site with a certificate'); END;

-- Generations that count: not damaged, and not plain once a data key exists.
CREATE VIEW MPE_HealthySecrets AS
SELECT s.SecretId, s.Generation FROM MPE_KeySecrets s
WHERE (s.Form = 2 OR NOT EXISTS (SELECT 1 FROM MPE_DataKeys))
  AND NOT EXISTS (SELECT 1 FROM MPE_SecretDamage d WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation)
UNION ALL
SELECT s.SecretId, s.Generation FROM MPE_TpmOwnerAuthSecrets s
WHERE (s.Form = 2 OR NOT EXISTS (SELECT 1 FROM MPE_DataKeys))
  AND NOT EXISTS (SELECT 1 FROM MPE_SecretDamage d WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation);

---------------------------------------------------------------------------------------------------
-- What clients report: the highest rank (epoch, sequence, digest) of each client counts

-- KeyIds is a JSON array, sorted: the client's current set of protectors for the volume.
CREATE TABLE MPE_Reports (
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  VolumeId TEXT NOT NULL REFERENCES MPE_Volumes (VolumeId),
  Epoch INTEGER NOT NULL CHECK (Epoch >= 1),
  Sequence INTEGER NOT NULL CHECK (Sequence >= 1),
  Digest BLOB NOT NULL CHECK (length(Digest) = 32),
  MessageId TEXT NOT NULL,
  VolumeType INTEGER NOT NULL CHECK (VolumeType BETWEEN 0 AND 3),
  DriveLabel TEXT NOT NULL,
  Protection INTEGER NOT NULL CHECK (Protection BETWEEN 0 AND 3),
  KeyIds TEXT NOT NULL CHECK (json_type(KeyIds) = 'array'),
  ReportedAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, VolumeId)
) STRICT;
CREATE INDEX MPE_Reports_Volume ON MPE_Reports (VolumeId);
CREATE TRIGGER MPE_Reports_Rank BEFORE UPDATE ON MPE_Reports
WHEN (NEW.Epoch, NEW.Sequence, NEW.Digest) < (OLD.Epoch, OLD.Sequence, OLD.Digest)
BEGIN SELECT RAISE(ABORT, 'a report is never replaced by one of a lower rank'); END;

CREATE TABLE MPE_ClientStates (
  ClientId TEXT NOT NULL PRIMARY KEY REFERENCES MPE_Clients (ClientId),
  Epoch INTEGER NOT NULL CHECK (Epoch >= 1),
  Sequence INTEGER NOT NULL CHECK (Sequence >= 1),
  Digest BLOB NOT NULL CHECK (length(Digest) = 32),
  MessageId TEXT NOT NULL,
  MachineName TEXT NOT NULL,
  Domain TEXT NOT NULL,
  OtherManagers TEXT NOT NULL CHECK (json_type(OtherManagers) = 'array'),
  LastErrorCode INTEGER NULL,
  LastErrorText TEXT NULL,
  LastErrorAt INTEGER NULL,
  ReportedAt INTEGER NOT NULL
) STRICT;
CREATE TRIGGER MPE_ClientStates_Rank BEFORE UPDATE ON MPE_ClientStates
WHEN (NEW.Epoch, NEW.Sequence, NEW.Digest) < (OLD.Epoch, OLD.Sequence, OLD.Digest)
BEGIN SELECT RAISE(ABORT, 'a state is never replaced by one of a lower rank'); END;

-- Users who signed in locally, of the state above.
CREATE TABLE MPE_ClientUsers (
  ClientId TEXT NOT NULL REFERENCES MPE_ClientStates (ClientId),
  Domain TEXT NOT NULL,
  Name TEXT NOT NULL,
  ReportedAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, Domain, Name)
) STRICT;

---------------------------------------------------------------------------------------------------
-- Messages

-- The fence: one row a message. Disposition 0 rejected, 1 quarantined, 2 partial, 3 committed;
-- 3 is final, any other may only move up.
CREATE TABLE MPE_Outcomes (
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  MessageId TEXT NOT NULL CHECK (length(MessageId) = 36),
  Digest BLOB NOT NULL CHECK (length(Digest) = 32),
  BodyType TEXT NOT NULL,
  Epoch INTEGER NOT NULL CHECK (Epoch >= 1),
  Sequence INTEGER NOT NULL CHECK (Sequence >= 0),
  Disposition INTEGER NOT NULL CHECK (Disposition BETWEEN 0 AND 3),
  Reason TEXT NOT NULL,
  SealedReply TEXT NOT NULL,
  Attempts INTEGER NOT NULL CHECK (Attempts >= 1),
  Stages TEXT NOT NULL CHECK (json_type(Stages) = 'array'),
  ReceivedAt INTEGER NOT NULL,
  DecidedAt INTEGER NOT NULL,
  DecidedBy TEXT NOT NULL,
  PRIMARY KEY (ClientId, MessageId)
) STRICT;
CREATE INDEX MPE_Outcomes_Sequence ON MPE_Outcomes (ClientId, Epoch, Sequence);
CREATE INDEX MPE_Outcomes_Message ON MPE_Outcomes (MessageId);
CREATE INDEX MPE_Outcomes_Decided ON MPE_Outcomes (DecidedAt);
CREATE TRIGGER MPE_Outcomes_Up BEFORE UPDATE ON MPE_Outcomes
WHEN OLD.Disposition = 3 OR NEW.Disposition < OLD.Disposition OR NEW.Digest <> OLD.Digest
BEGIN SELECT RAISE(ABORT, 'an outcome only moves up, and COMMITTED is final'); END;

-- Messages kept sealed. The client id is what the channel authenticated, registered or not.
CREATE TABLE MPE_Quarantine (
  ClientId TEXT NOT NULL,
  MessageId TEXT NOT NULL CHECK (length(MessageId) = 36),
  BodyType INTEGER NOT NULL,
  Reason TEXT NOT NULL,
  Kid TEXT NOT NULL,
  Sealed TEXT NOT NULL,
  Attempts INTEGER NOT NULL CHECK (Attempts >= 1),
  FirstAt INTEGER NOT NULL,
  LastAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, MessageId)
) STRICT;
CREATE INDEX MPE_Quarantine_Message ON MPE_Quarantine (MessageId);

CREATE TABLE MPE_DeadLetters (
  ClientId TEXT NOT NULL,
  MessageId TEXT NOT NULL CHECK (length(MessageId) = 36),
  BodyType INTEGER NOT NULL,
  Cause TEXT NOT NULL,
  Detail TEXT NOT NULL,
  Sealed TEXT NOT NULL,
  -- The release that gave up.
  ReleaseName TEXT NOT NULL,
  Resends INTEGER NOT NULL CHECK (Resends >= 0),
  DeadAt INTEGER NOT NULL,
  RedrivenAt INTEGER NULL,
  PRIMARY KEY (ClientId, MessageId)
) STRICT;
CREATE INDEX MPE_DeadLetters_Message ON MPE_DeadLetters (MessageId);
CREATE INDEX MPE_DeadLetters_Sealed ON MPE_DeadLetters (DeadAt) WHERE Sealed <> '';

---------------------------------------------------------------------------------------------------
-- Rotation, exposure, audit

CREATE TABLE MPE_RotationRequests (
  RequestId TEXT NOT NULL PRIMARY KEY CHECK (length(RequestId) = 36),
  VolumeId TEXT NOT NULL,
  KeyId TEXT NOT NULL COLLATE NOCASE,
  Deadline INTEGER NOT NULL,
  OpenedAt INTEGER NOT NULL,
  -- Null while open; then COMPLETED, REPLACED or ABANDONED.
  ClosedAs TEXT NULL CHECK (ClosedAs IN ('COMPLETED', 'REPLACED', 'ABANDONED')),
  ClosedAt INTEGER NULL CHECK ((ClosedAt IS NULL) = (ClosedAs IS NULL))
) STRICT;
CREATE INDEX MPE_RotationRequests_Open ON MPE_RotationRequests (VolumeId, KeyId) WHERE ClosedAt IS NULL;

-- Append-only: what clients claim about a request. Never evidence.
CREATE TABLE MPE_RotationReports (
  RequestId TEXT NOT NULL REFERENCES MPE_RotationRequests (RequestId),
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  MessageId TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Sequence INTEGER NOT NULL,
  Outcome TEXT NOT NULL,
  ErrorCode INTEGER NULL,
  ErrorText TEXT NULL,
  NewKeyId TEXT NULL,
  ReportedAt INTEGER NOT NULL,
  PRIMARY KEY (RequestId, ClientId, MessageId)
) STRICT;

-- Append-only: a key was shown. Exposure is a fact of a key.
CREATE TABLE MPE_Exposures (
  ExposureId TEXT NOT NULL PRIMARY KEY CHECK (length(ExposureId) = 36),
  KeyId TEXT NOT NULL COLLATE NOCASE,
  VolumeId TEXT NOT NULL,
  ExposedAt INTEGER NOT NULL,
  Cause TEXT NOT NULL,
  AuditSequence INTEGER NULL
) STRICT;
CREATE INDEX MPE_Exposures_Key ON MPE_Exposures (KeyId);

-- Append-only: the highest rank of each client that had proven the key when it was exposed.
CREATE TABLE MPE_ExposureRanks (
  ExposureId TEXT NOT NULL REFERENCES MPE_Exposures (ExposureId),
  ClientId TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Sequence INTEGER NOT NULL,
  Digest BLOB NOT NULL CHECK (length(Digest) = 32),
  PRIMARY KEY (ExposureId, ClientId)
) STRICT;

-- Append-only: who asked for which key, with what result; each row's hash covers the one before.
CREATE TABLE MPE_Audit (
  Sequence INTEGER PRIMARY KEY CHECK (Sequence >= 1),
  HappenedAt INTEGER NOT NULL,
  Source TEXT NOT NULL,
  Result TEXT NOT NULL CHECK (Result IN ('Successful', 'Failed')),
  HelpdeskUser TEXT NOT NULL,
  EndUser TEXT NOT NULL,
  Machine TEXT NOT NULL,
  KeyType TEXT NOT NULL,
  KeyId TEXT NOT NULL,
  Reason TEXT NOT NULL,
  Ticket TEXT NOT NULL,
  Detail TEXT NOT NULL,
  PreviousHash BLOB NOT NULL CHECK (length(PreviousHash) = 32),
  Hash BLOB NOT NULL UNIQUE CHECK (length(Hash) = 32)
) STRICT;

-- The end of the chain; updating it puts writers in a row.
CREATE TABLE MPE_AuditHead (
  Id INTEGER PRIMARY KEY CHECK (Id = 1),
  Sequence INTEGER NOT NULL CHECK (Sequence >= 0),
  Hash BLOB NOT NULL CHECK (length(Hash) = 32)
) STRICT;
INSERT INTO MPE_AuditHead (Id, Sequence, Hash) VALUES (1, 0, zeroblob(32));

---------------------------------------------------------------------------------------------------
-- Operations

CREATE TABLE MPE_ManagementPoints (
  ManagementPointId TEXT NOT NULL PRIMARY KEY,
  Channel TEXT NOT NULL CHECK (Channel IN ('HTTPS', 'ENHANCED_HTTP', 'HTTP')),
  Address TEXT NOT NULL,
  FirstSeenAt INTEGER NOT NULL,
  LastSeenAt INTEGER NOT NULL
) STRICT;

-- Readiness writes here.
CREATE TABLE MPE_Probe (
  ProbedBy TEXT NOT NULL PRIMARY KEY,
  Count INTEGER NOT NULL,
  ProbedAt INTEGER NOT NULL
) STRICT;

---------------------------------------------------------------------------------------------------
-- Append-only and never-deleted tables

CREATE TRIGGER MPE_SiteDocuments_NoUpdate BEFORE UPDATE ON MPE_SiteDocuments BEGIN SELECT RAISE(ABORT, 'MPE_SiteDocuments is append-only'); END;
CREATE TRIGGER MPE_SiteDocuments_NoDelete BEFORE DELETE ON MPE_SiteDocuments BEGIN SELECT RAISE(ABORT, 'MPE_SiteDocuments is append-only'); END;
CREATE TRIGGER MPE_FingerprintKeys_NoUpdate BEFORE UPDATE ON MPE_FingerprintKeys BEGIN SELECT RAISE(ABORT, 'MPE_FingerprintKeys is append-only'); END;
CREATE TRIGGER MPE_FingerprintKeys_NoDelete BEFORE DELETE ON MPE_FingerprintKeys BEGIN SELECT RAISE(ABORT, 'MPE_FingerprintKeys is append-only'); END;
CREATE TRIGGER MPE_DataKeys_NoUpdate BEFORE UPDATE ON MPE_DataKeys BEGIN SELECT RAISE(ABORT, 'MPE_DataKeys is append-only'); END;
CREATE TRIGGER MPE_DataKeys_NoDelete BEFORE DELETE ON MPE_DataKeys BEGIN SELECT RAISE(ABORT, 'MPE_DataKeys is append-only'); END;
CREATE TRIGGER MPE_DataKeyWraps_NoUpdate BEFORE UPDATE ON MPE_DataKeyWraps BEGIN SELECT RAISE(ABORT, 'MPE_DataKeyWraps is append-only'); END;
CREATE TRIGGER MPE_DataKeyWraps_NoDelete BEFORE DELETE ON MPE_DataKeyWraps BEGIN SELECT RAISE(ABORT, 'MPE_DataKeyWraps is append-only'); END;
CREATE TRIGGER MPE_Clients_Epoch BEFORE UPDATE ON MPE_Clients WHEN NEW.Epoch < OLD.Epoch OR NEW.ClientId <> OLD.ClientId BEGIN SELECT RAISE(ABORT, 'an epoch only goes up'); END;
CREATE TRIGGER MPE_Clients_NoDelete BEFORE DELETE ON MPE_Clients BEGIN SELECT RAISE(ABORT, 'a client is never deleted: write a MPE_MachineEvents row'); END;
CREATE TRIGGER MPE_ClientKeys_NoUpdate BEFORE UPDATE ON MPE_ClientKeys BEGIN SELECT RAISE(ABORT, 'MPE_ClientKeys is append-only'); END;
CREATE TRIGGER MPE_ClientKeys_NoDelete BEFORE DELETE ON MPE_ClientKeys BEGIN SELECT RAISE(ABORT, 'MPE_ClientKeys is append-only'); END;
CREATE TRIGGER MPE_ClientFlags_NoUpdate BEFORE UPDATE ON MPE_ClientFlags BEGIN SELECT RAISE(ABORT, 'MPE_ClientFlags is append-only'); END;
CREATE TRIGGER MPE_ClientFlags_NoDelete BEFORE DELETE ON MPE_ClientFlags BEGIN SELECT RAISE(ABORT, 'MPE_ClientFlags is append-only'); END;
CREATE TRIGGER MPE_MachineEvents_NoUpdate BEFORE UPDATE ON MPE_MachineEvents BEGIN SELECT RAISE(ABORT, 'MPE_MachineEvents is append-only'); END;
CREATE TRIGGER MPE_MachineEvents_NoDelete BEFORE DELETE ON MPE_MachineEvents BEGIN SELECT RAISE(ABORT, 'MPE_MachineEvents is append-only'); END;
CREATE TRIGGER MPE_Volumes_NoUpdate BEFORE UPDATE ON MPE_Volumes BEGIN SELECT RAISE(ABORT, 'MPE_Volumes is append-only'); END;
CREATE TRIGGER MPE_Volumes_NoDelete BEFORE DELETE ON MPE_Volumes BEGIN SELECT RAISE(ABORT, 'MPE_Volumes is append-only'); END;
CREATE TRIGGER MPE_Keys_NoUpdate BEFORE UPDATE ON MPE_Keys BEGIN SELECT RAISE(ABORT, 'MPE_Keys is append-only'); END;
CREATE TRIGGER MPE_Keys_NoDelete BEFORE DELETE ON MPE_Keys BEGIN SELECT RAISE(ABORT, 'MPE_Keys is append-only'); END;
CREATE TRIGGER MPE_KeySecrets_NoUpdate BEFORE UPDATE ON MPE_KeySecrets BEGIN SELECT RAISE(ABORT, 'MPE_KeySecrets is append-only'); END;
CREATE TRIGGER MPE_KeySecrets_NoDelete BEFORE DELETE ON MPE_KeySecrets BEGIN SELECT RAISE(ABORT, 'MPE_KeySecrets is append-only'); END;
CREATE TRIGGER MPE_KeyProofs_NoUpdate BEFORE UPDATE ON MPE_KeyProofs BEGIN SELECT RAISE(ABORT, 'MPE_KeyProofs is append-only'); END;
CREATE TRIGGER MPE_KeyProofs_NoDelete BEFORE DELETE ON MPE_KeyProofs BEGIN SELECT RAISE(ABORT, 'MPE_KeyProofs is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuths_NoUpdate BEFORE UPDATE ON MPE_TpmOwnerAuths BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuths is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuths_NoDelete BEFORE DELETE ON MPE_TpmOwnerAuths BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuths is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuthSecrets_NoUpdate BEFORE UPDATE ON MPE_TpmOwnerAuthSecrets BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuthSecrets is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuthSecrets_NoDelete BEFORE DELETE ON MPE_TpmOwnerAuthSecrets BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuthSecrets is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuthProofs_NoUpdate BEFORE UPDATE ON MPE_TpmOwnerAuthProofs BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuthProofs is append-only'); END;
CREATE TRIGGER MPE_TpmOwnerAuthProofs_NoDelete BEFORE DELETE ON MPE_TpmOwnerAuthProofs BEGIN SELECT RAISE(ABORT, 'MPE_TpmOwnerAuthProofs is append-only'); END;
CREATE TRIGGER MPE_SecretDamage_NoUpdate BEFORE UPDATE ON MPE_SecretDamage BEGIN SELECT RAISE(ABORT, 'MPE_SecretDamage is append-only'); END;
CREATE TRIGGER MPE_SecretDamage_NoDelete BEFORE DELETE ON MPE_SecretDamage BEGIN SELECT RAISE(ABORT, 'MPE_SecretDamage is append-only'); END;
CREATE TRIGGER MPE_RotationReports_NoUpdate BEFORE UPDATE ON MPE_RotationReports BEGIN SELECT RAISE(ABORT, 'MPE_RotationReports is append-only'); END;
CREATE TRIGGER MPE_RotationReports_NoDelete BEFORE DELETE ON MPE_RotationReports BEGIN SELECT RAISE(ABORT, 'MPE_RotationReports is append-only'); END;
CREATE TRIGGER MPE_Exposures_NoUpdate BEFORE UPDATE ON MPE_Exposures BEGIN SELECT RAISE(ABORT, 'MPE_Exposures is append-only'); END;
CREATE TRIGGER MPE_Exposures_NoDelete BEFORE DELETE ON MPE_Exposures BEGIN SELECT RAISE(ABORT, 'MPE_Exposures is append-only'); END;
CREATE TRIGGER MPE_ExposureRanks_NoUpdate BEFORE UPDATE ON MPE_ExposureRanks BEGIN SELECT RAISE(ABORT, 'MPE_ExposureRanks is append-only'); END;
CREATE TRIGGER MPE_ExposureRanks_NoDelete BEFORE DELETE ON MPE_ExposureRanks BEGIN SELECT RAISE(ABORT, 'MPE_ExposureRanks is append-only'); END;
CREATE TRIGGER MPE_Audit_NoUpdate BEFORE UPDATE ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'MPE_Audit is append-only'); END;
CREATE TRIGGER MPE_Audit_NoDelete BEFORE DELETE ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'MPE_Audit is append-only'); END;
CREATE TRIGGER MPE_AuditHead_Forward BEFORE UPDATE ON MPE_AuditHead WHEN NEW.Sequence <> OLD.Sequence + 1 BEGIN SELECT RAISE(ABORT, 'the audit chain only grows'); END;
CREATE TRIGGER MPE_AuditHead_NoDelete BEFORE DELETE ON MPE_AuditHead BEGIN SELECT RAISE(ABORT, 'the audit chain only grows'); END;

---------------------------------------------------------------------------------------------------
-- Published names, for the queries that people already have

CREATE VIEW RecoveryAndHardwareCore_VolumeTypes AS
SELECT 0 AS Id, 'Unknown' AS TypeName
UNION ALL SELECT 1, 'Operating System Drive'
UNION ALL SELECT 2, 'Fixed Data Drive'
UNION ALL SELECT 3, 'Removable Data Drive';

-- The name is what the machine last said of itself.
CREATE VIEW RecoveryAndHardwareCore_Machines AS
SELECT
  c.ClientId AS Id,
  coalesce(nullif(s.MachineName, ''), c.MachineName) AS Name,
  coalesce(nullif(s.Domain, ''), c.Domain) AS DomainName,
  strftime('%Y-%m-%d %H:%M:%f', max(c.RegisteredAt, coalesce(s.ReportedAt, 0)) / 1000.0, 'unixepoch') AS LastUpdateTime,
  coalesce((SELECT e.Event = 'DELETED' FROM MPE_MachineEvents e
            WHERE e.ClientId = c.ClientId AND e.Event IN ('DELETED', 'RESTORED')
            ORDER BY e.EventId DESC LIMIT 1), 0) AS Deleted
FROM MPE_Clients c LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId;

CREATE VIEW RecoveryAndHardwareCore_Machines_Users AS
SELECT
  u.ClientId AS MachineId,
  u.Domain || '\' || u.Name AS UserId,
  u.Domain AS DomainName,
  u.Name AS UserName,
  strftime('%Y-%m-%d %H:%M:%f', u.ReportedAt / 1000.0, 'unixepoch') AS LastUpdateTime
FROM MPE_ClientUsers u;

-- A volume belongs to every machine that reported it or sent a key of it.
CREATE VIEW RecoveryAndHardwareCore_Machines_Volumes AS
SELECT r.ClientId AS MachineId, r.VolumeId FROM MPE_Reports r
UNION
SELECT p.ClientId, k.VolumeId FROM MPE_KeyProofs p JOIN MPE_Keys k ON k.SecretId = p.SecretId;

-- The newest report's type.
CREATE VIEW RecoveryAndHardwareCore_Volumes AS
SELECT
  v.VolumeId AS Id,
  coalesce((SELECT r.VolumeType FROM MPE_Reports r WHERE r.VolumeId = v.VolumeId
            ORDER BY r.ReportedAt DESC, r.ClientId LIMIT 1), 0) AS VolumeTypeId
FROM MPE_Volumes v;

-- One row a recovery password: two rows for one key id are a conflict. RecoveryKey is as stored
-- (text where plain, ciphertext where sealed), NULL where every generation is damaged.
CREATE VIEW RecoveryAndHardwareCore_Keys AS
SELECT
  k.Id,
  k.VolumeId,
  k.KeyId AS RecoveryKeyId,
  (SELECT CASE s.Form WHEN 1 THEN CAST(s.Content AS TEXT) ELSE s.Content END FROM MPE_KeySecrets s
   WHERE s.SecretId = k.SecretId
     AND NOT EXISTS (SELECT 1 FROM MPE_SecretDamage d WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation)
   ORDER BY s.Generation DESC LIMIT 1) AS RecoveryKey,
  strftime('%Y-%m-%d %H:%M:%f', max(
    k.FirstStoredAt,
    coalesce((SELECT max(s.StoredAt) FROM MPE_KeySecrets s WHERE s.SecretId = k.SecretId), 0),
    coalesce((SELECT max(p.ProvenAt) FROM MPE_KeyProofs p WHERE p.SecretId = k.SecretId), 0)
  ) / 1000.0, 'unixepoch') AS LastUpdateTime,
  EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = k.KeyId) AS Disclosed
FROM MPE_Keys k WHERE k.Kind = 1;

-- What is not processed, with its exception.
CREATE VIEW MPE_RequestMessages_Instant AS
SELECT d.MessageId AS MessageID, d.ClientId, d.Cause || ': ' || d.Detail AS Exception FROM MPE_DeadLetters d
UNION ALL
SELECT q.MessageId, q.ClientId, q.Reason || CASE q.Kid WHEN '' THEN '' ELSE ': kid ' || q.Kid END
FROM MPE_Quarantine q
WHERE NOT EXISTS (SELECT 1 FROM MPE_DeadLetters d WHERE d.ClientId = q.ClientId AND d.MessageId = q.MessageId);
