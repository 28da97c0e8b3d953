-- Recovery: disclosure and audit, rotation, policy, people.
SELECT 1 AS Nothing WHERE 1 = 0;
GO

---------------------------------------------------------------------------------------------------
-- Disclosure, audit and incidents

-- RequestId: made by whoever asks, so that a lost answer of COMMIT can be looked up; one row a request.
-- Actor: the person who acted, as limits know them (lower case); '' for what no person did.
ALTER TABLE dbo.MPE_Audit ADD RequestId uniqueidentifier NULL;
ALTER TABLE dbo.MPE_Audit ADD Actor nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL
  CONSTRAINT DF_MPE_Audit_Actor DEFAULT N'';
ALTER TABLE dbo.MPE_Exposures ADD Actor nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL
  CONSTRAINT DF_MPE_Exposures_Actor DEFAULT N'';
GO
CREATE UNIQUE INDEX UX_MPE_Audit_RequestId ON dbo.MPE_Audit (RequestId) WHERE RequestId IS NOT NULL;
CREATE INDEX IX_MPE_Audit_Actor ON dbo.MPE_Audit (Actor, HappenedAt);
CREATE INDEX IX_MPE_Audit_HappenedAt ON dbo.MPE_Audit (HappenedAt);
GO

-- How far each sink has taken the audit.
CREATE TABLE dbo.MPE_AuditSinks (
  SinkId varchar(128) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_AuditSinks PRIMARY KEY,
  Sequence bigint NOT NULL CONSTRAINT CK_MPE_AuditSinks_Sequence CHECK (Sequence >= 0),
  SavedAt datetime2(3) NOT NULL
);

-- An incident: proposed by one person, confirmed by another, ended by somebody or by its time.
CREATE TABLE dbo.MPE_Incidents (
  IncidentId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_Incidents PRIMARY KEY,
  Title nvarchar(512) NOT NULL,
  LastsMinutes int NOT NULL CONSTRAINT CK_MPE_Incidents_LastsMinutes CHECK (LastsMinutes > 0),
  RotationsPerHour int NOT NULL CONSTRAINT CK_MPE_Incidents_RotationsPerHour CHECK (RotationsPerHour > 0),
  ProposedBy nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL,
  ProposedAt datetime2(3) NOT NULL,
  ConfirmedBy nvarchar(256) COLLATE Latin1_General_BIN2 NULL,
  ConfirmedAt datetime2(3) NULL,
  -- Of the confirmation and LastsMinutes; lifted limits end here at the latest.
  EndsAt datetime2(3) NULL,
  EndedBy nvarchar(256) COLLATE Latin1_General_BIN2 NULL,
  EndedAt datetime2(3) NULL,
  CONSTRAINT CK_MPE_Incidents_Confirmed CHECK (
    (ConfirmedBy IS NULL AND ConfirmedAt IS NULL AND EndsAt IS NULL)
    OR (ConfirmedBy IS NOT NULL AND ConfirmedAt IS NOT NULL AND EndsAt IS NOT NULL)),
  CONSTRAINT CK_MPE_Incidents_Ended CHECK (
    (EndedBy IS NULL AND EndedAt IS NULL) OR (EndedBy IS NOT NULL AND EndedAt IS NOT NULL))
);

-- Append-only: the machines of an incident.
CREATE TABLE dbo.MPE_IncidentMachines (
  IncidentId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_IncidentMachines_Incident REFERENCES dbo.MPE_Incidents (IncidentId),
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_IncidentMachines_Client REFERENCES dbo.MPE_Clients (ClientId),
  CONSTRAINT PK_MPE_IncidentMachines PRIMARY KEY (IncidentId, ClientId)
);
CREATE INDEX IX_MPE_IncidentMachines_Client ON dbo.MPE_IncidentMachines (ClientId);
GO
CREATE TRIGGER dbo.MPE_Incidents_Forward ON dbo.MPE_Incidents AFTER UPDATE AS
IF EXISTS (
  SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.IncidentId = d.IncidentId
  WHERE i.IncidentId IS NULL OR d.EndedAt IS NOT NULL OR i.ProposedBy <> d.ProposedBy
    OR (d.ConfirmedBy IS NOT NULL AND (i.ConfirmedBy IS NULL OR i.ConfirmedBy <> d.ConfirmedBy OR i.EndsAt <> d.EndsAt)))
  THROW 51001, N'an incident is confirmed once and ended once', 1;
GO
CREATE TRIGGER dbo.MPE_Incidents_NoDelete ON dbo.MPE_Incidents AFTER DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_Incidents is never deleted from', 1;
GO
CREATE TRIGGER dbo.MPE_IncidentMachines_AppendOnly ON dbo.MPE_IncidentMachines AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_IncidentMachines is append-only', 1;
GO

---------------------------------------------------------------------------------------------------
-- Policy: life of a policy, rings, what was done to it; devices for the denominator of coverage

-- A policy of a release before this one applies as it did: it is deployed.
ALTER TABLE dbo.MPE_Policies ADD State varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
  CONSTRAINT DF_MPE_Policies_State DEFAULT 'DEPLOYED'
  CONSTRAINT CK_MPE_Policies_State CHECK (State IN ('DRAFT', 'DEPLOYED', 'RETIRED'));
ALTER TABLE dbo.MPE_Policies ADD MbamMigration bit NOT NULL CONSTRAINT DF_MPE_Policies_MbamMigration DEFAULT 0;
-- Whether keys are rotated although the client reports another manager.
ALTER TABLE dbo.MPE_Policies ADD RotateBesideOthers bit NOT NULL
  CONSTRAINT DF_MPE_Policies_RotateBesideOthers DEFAULT 0;
-- One more with each change; the change's row in MPE_PolicyEvents has the same number.
ALTER TABLE dbo.MPE_Policies ADD Revision int NOT NULL CONSTRAINT DF_MPE_Policies_Revision DEFAULT 1
  CONSTRAINT CK_MPE_Policies_Revision CHECK (Revision >= 1);
ALTER TABLE dbo.MPE_Policies ADD DeployedAt datetime2(3) NULL;
ALTER TABLE dbo.MPE_Policies ADD RetiredAt datetime2(3) NULL;
GO

-- Targets of a policy in their order. A policy with rings applies to the tags of those that are not closed.
CREATE TABLE dbo.MPE_PolicyRings (
  PolicyId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_PolicyRings_Policy REFERENCES dbo.MPE_Policies (PolicyId),
  Position int NOT NULL CONSTRAINT CK_MPE_PolicyRings_Position CHECK (Position >= 1),
  Tag nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL,
  State varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_PolicyRings_State CHECK (State IN ('CLOSED', 'OPEN', 'PAUSED')),
  Opens varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_PolicyRings_Opens CHECK (Opens IN ('BY_HAND', 'AFTER_PREVIOUS')),
  -- Thousandths of the machines heard from that may fail before the ring pauses by itself.
  FailureLimit int NOT NULL CONSTRAINT CK_MPE_PolicyRings_FailureLimit CHECK (FailureLimit BETWEEN 0 AND 1000),
  -- How long it must have been open and fine before the next one opens.
  SoakMinutes int NOT NULL CONSTRAINT CK_MPE_PolicyRings_SoakMinutes CHECK (SoakMinutes >= 0),
  RotationsPerHour int NOT NULL
    CONSTRAINT CK_MPE_PolicyRings_RotationsPerHour CHECK (RotationsPerHour >= 0),
  OpenedAt datetime2(3) NULL,
  PausedAt datetime2(3) NULL,
  PauseReason nvarchar(512) NOT NULL,
  CONSTRAINT PK_MPE_PolicyRings PRIMARY KEY (PolicyId, Position),
  CONSTRAINT UQ_MPE_PolicyRings_Tag UNIQUE (PolicyId, Tag)
);

-- Append-only: the fence between two that change one policy, and its history.
CREATE TABLE dbo.MPE_PolicyEvents (
  PolicyId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_PolicyEvents_Policy REFERENCES dbo.MPE_Policies (PolicyId),
  Revision int NOT NULL CONSTRAINT CK_MPE_PolicyEvents_Revision CHECK (Revision >= 1),
  Event varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  Detail nvarchar(2000) NOT NULL,
  HappenedAt datetime2(3) NOT NULL,
  DoneBy nvarchar(512) NOT NULL,
  CONSTRAINT PK_MPE_PolicyEvents PRIMARY KEY (PolicyId, Revision)
);

-- Machines that there are, by an inventory of the organisation. Hints: they prove nothing.
CREATE TABLE dbo.MPE_Devices (
  -- domain\name in lower case.
  DeviceKey nvarchar(330) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_Devices PRIMARY KEY,
  MachineName nvarchar(128) NOT NULL,
  Domain nvarchar(512) NOT NULL,
  HardwareId nvarchar(512) NOT NULL,
  Tag nvarchar(256) NOT NULL,
  ImportedAt datetime2(3) NOT NULL
);

-- Machines of a ring.
CREATE INDEX IX_MPE_Clients_Tag ON dbo.MPE_Clients (Tag);
GO
CREATE TRIGGER dbo.MPE_PolicyEvents_AppendOnly ON dbo.MPE_PolicyEvents AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_PolicyEvents is append-only', 1;
GO

---------------------------------------------------------------------------------------------------
-- Rotation

ALTER TABLE dbo.MPE_RotationRequests ADD Origin varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_Origin DEFAULT 'OPERATOR'
  CONSTRAINT CK_MPE_RotationRequests_Origin
    CHECK (Origin IN ('DISCLOSURE', 'OPERATOR', 'MIGRATION', 'INCIDENT', 'POLICY'));
ALTER TABLE dbo.MPE_RotationRequests ADD RequestedBy nvarchar(256) NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_RequestedBy DEFAULT N'';
-- No client is told before this: pacing.
ALTER TABLE dbo.MPE_RotationRequests ADD NotBefore datetime2(3) NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_NotBefore DEFAULT '1970-01-01T00:00:00.000';
-- One more with each exposure of a key of the volume. A request is closed only in the round in which
-- its evidence was read.
ALTER TABLE dbo.MPE_RotationRequests ADD Round int NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_Round DEFAULT 1
  CONSTRAINT CK_MPE_RotationRequests_Round CHECK (Round >= 1);
ALTER TABLE dbo.MPE_RotationRequests ADD ClosedBy nvarchar(256) NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_ClosedBy DEFAULT N'';
ALTER TABLE dbo.MPE_RotationRequests ADD CloseReason nvarchar(512) NOT NULL
  CONSTRAINT DF_MPE_RotationRequests_CloseReason DEFAULT N'';
GO
DROP INDEX IX_MPE_RotationRequests_Open ON dbo.MPE_RotationRequests;
GO
CREATE UNIQUE INDEX UX_MPE_RotationRequests_Open ON dbo.MPE_RotationRequests (VolumeId, KeyId)
  WHERE ClosedAt IS NULL;
CREATE INDEX IX_MPE_RotationRequests_Due ON dbo.MPE_RotationRequests (Deadline) WHERE ClosedAt IS NULL;
CREATE INDEX IX_MPE_RotationRequests_Closed ON dbo.MPE_RotationRequests (ClosedAt) WHERE ClosedAt IS NOT NULL;
CREATE INDEX IX_MPE_RotationRequests_Volume ON dbo.MPE_RotationRequests (VolumeId, KeyId);
CREATE INDEX IX_MPE_RotationRequests_Key ON dbo.MPE_RotationRequests (KeyId);

-- Append-only: the first reply of each round that carried the command to a client.
CREATE TABLE dbo.MPE_RotationDeliveries (
  RequestId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_RotationDeliveries_Request REFERENCES dbo.MPE_RotationRequests (RequestId),
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT FK_MPE_RotationDeliveries_Client REFERENCES dbo.MPE_Clients (ClientId),
  Round int NOT NULL CONSTRAINT CK_MPE_RotationDeliveries_Round CHECK (Round >= 1),
  FirstDeliveredAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_RotationDeliveries PRIMARY KEY (RequestId, ClientId, Round)
);

-- The keeper looks for exposed keys that came back, in the order of time.
CREATE INDEX IX_MPE_Exposures_ExposedAt ON dbo.MPE_Exposures (ExposedAt);
GO
CREATE TRIGGER dbo.MPE_RotationRequests_Final ON dbo.MPE_RotationRequests AFTER UPDATE AS
IF EXISTS (SELECT 1 FROM deleted d LEFT JOIN inserted i ON i.RequestId = d.RequestId
           WHERE i.RequestId IS NULL OR d.ClosedAt IS NOT NULL OR i.Round < d.Round
             OR i.VolumeId <> d.VolumeId OR i.KeyId <> d.KeyId)
  THROW 51001, N'a rotation request that is closed stays so', 1;
GO
CREATE TRIGGER dbo.MPE_RotationRequests_NoDelete ON dbo.MPE_RotationRequests AFTER DELETE AS
IF EXISTS (SELECT 1 FROM deleted)
  THROW 51001, N'a rotation request is closed, never deleted', 1;
GO
CREATE TRIGGER dbo.MPE_RotationDeliveries_AppendOnly ON dbo.MPE_RotationDeliveries AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_RotationDeliveries is append-only', 1;
GO

---------------------------------------------------------------------------------------------------
-- People: local accounts, sessions, refused sign-ins, break-glass; what a search seeks

-- AccountKey: the name in lower case. Revision: one more with each change of roles, password or state.
CREATE TABLE dbo.MPE_Accounts (
  AccountKey nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_Accounts PRIMARY KEY,
  Name nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL,
  Roles nvarchar(max) NOT NULL CONSTRAINT CK_MPE_Accounts_Roles CHECK (ISJSON(Roles) = 1),
  PasswordHash varchar(512) COLLATE Latin1_General_BIN2 NOT NULL,
  Disabled bit NOT NULL,
  Revision int NOT NULL CONSTRAINT CK_MPE_Accounts_Revision CHECK (Revision >= 1),
  CreatedAt datetime2(3) NOT NULL,
  ChangedAt datetime2(3) NOT NULL,
  LastSignInAt datetime2(3) NULL
);

-- Of an account or an address: refused sign-ins in a row, and until when the next one is refused.
CREATE TABLE dbo.MPE_SignInFailures (
  Subject nvarchar(300) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT PK_MPE_SignInFailures PRIMARY KEY,
  Failures int NOT NULL CONSTRAINT CK_MPE_SignInFailures_Failures CHECK (Failures >= 1),
  LastAt datetime2(3) NOT NULL,
  LockedUntil datetime2(3) NOT NULL
);
CREATE INDEX IX_MPE_SignInFailures_LastAt ON dbo.MPE_SignInFailures (LastAt);

-- TokenHash: SHA-256 of the token in the cookie, which is kept nowhere.
CREATE TABLE dbo.MPE_Sessions (
  TokenHash varbinary(32) NOT NULL CONSTRAINT PK_MPE_Sessions PRIMARY KEY
    CONSTRAINT CK_MPE_Sessions_TokenHash CHECK (DATALENGTH(TokenHash) = 32),
  PersonKey nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL,
  PersonName nvarchar(256) COLLATE Latin1_General_BIN2 NOT NULL,
  Roles nvarchar(max) NOT NULL CONSTRAINT CK_MPE_Sessions_Roles CHECK (ISJSON(Roles) = 1),
  SignIn varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_Sessions_SignIn CHECK (SignIn IN ('oidc', 'local', 'break-glass')),
  Portal varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_Sessions_Portal CHECK (Portal IN ('helpdesk', 'self-service')),
  -- Of the local account at its sign-in; null: signed in otherwise.
  AccountRevision int NULL,
  NoticeAccepted bit NOT NULL,
  CreatedAt datetime2(3) NOT NULL,
  LastSeenAt datetime2(3) NOT NULL,
  EndsAt datetime2(3) NOT NULL
);
CREATE INDEX IX_MPE_Sessions_EndsAt ON dbo.MPE_Sessions (EndsAt);
CREATE INDEX IX_MPE_Sessions_Person ON dbo.MPE_Sessions (PersonKey);

-- The break-glass account. The second factor is sealed under a key of the password.
CREATE TABLE dbo.MPE_BreakGlass (
  Id int NOT NULL CONSTRAINT PK_MPE_BreakGlass PRIMARY KEY CONSTRAINT CK_MPE_BreakGlass_Id CHECK (Id = 1),
  PasswordHash varchar(512) COLLATE Latin1_General_BIN2 NOT NULL,
  SealedTotp varchar(512) COLLATE Latin1_General_BIN2 NOT NULL,
  -- The newest time step that was used: each code once.
  LastStep bigint NOT NULL CONSTRAINT CK_MPE_BreakGlass_LastStep CHECK (LastStep >= 0),
  -- Of whoever used it: which of two that come with one code was first.
  LastUse varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  ArmedUntil datetime2(3) NULL,
  ArmedBy nvarchar(256) NOT NULL,
  SetAt datetime2(3) NOT NULL
);

-- Append-only: the number by which compatible interfaces name a machine.
CREATE TABLE dbo.MPE_MachineNumbers (
  ClientId uniqueidentifier NOT NULL CONSTRAINT PK_MPE_MachineNumbers PRIMARY KEY
    CONSTRAINT FK_MPE_MachineNumbers_Client REFERENCES dbo.MPE_Clients (ClientId),
  Number int NOT NULL CONSTRAINT UQ_MPE_MachineNumbers_Number UNIQUE
    CONSTRAINT CK_MPE_MachineNumbers_Number CHECK (Number >= 16777216)
);

CREATE INDEX IX_MPE_ClientUsers_Name ON dbo.MPE_ClientUsers (Name) INCLUDE (Domain);
CREATE INDEX IX_MPE_ClientStates_MachineName ON dbo.MPE_ClientStates (MachineName);
GO
CREATE TRIGGER dbo.MPE_MachineNumbers_AppendOnly ON dbo.MPE_MachineNumbers AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_MachineNumbers is append-only', 1;
GO

-- What a policy begins by itself: how much in the last hour, and which volumes it has reached.
CREATE INDEX IX_MPE_RotationRequests_Begun ON dbo.MPE_RotationRequests (RequestedBy, OpenedAt);
CREATE INDEX IX_MPE_Exposures_Volume ON dbo.MPE_Exposures (VolumeId, Cause);
GO
