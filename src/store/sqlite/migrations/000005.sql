-- Recovery: disclosure and audit, rotation, policy, people.

---------------------------------------------------------------------------------------------------
-- Disclosure, audit and incidents

-- RequestId: made by whoever asks, so that a lost answer of COMMIT can be looked up; one row a request.
-- Actor: the person who acted, as limits know them (lower case); '' for what no person did.
ALTER TABLE MPE_Audit ADD COLUMN RequestId TEXT NULL CHECK (RequestId IS NULL OR length(RequestId) = 36);
ALTER TABLE MPE_Audit ADD COLUMN Actor TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX MPE_Audit_RequestId ON MPE_Audit (RequestId);
CREATE INDEX MPE_Audit_Actor ON MPE_Audit (Actor, HappenedAt);
CREATE INDEX MPE_Audit_HappenedAt ON MPE_Audit (HappenedAt);

ALTER TABLE MPE_Exposures ADD COLUMN Actor TEXT NOT NULL DEFAULT '';

-- How far each sink has taken the audit.
CREATE TABLE MPE_AuditSinks (
  SinkId TEXT NOT NULL PRIMARY KEY,
  Sequence INTEGER NOT NULL CHECK (Sequence >= 0),
  SavedAt INTEGER NOT NULL
) STRICT;

-- An incident: proposed by one person, confirmed by another, ended by somebody or by its time.
CREATE TABLE MPE_Incidents (
  IncidentId TEXT NOT NULL PRIMARY KEY CHECK (length(IncidentId) = 36),
  Title TEXT NOT NULL,
  LastsMinutes INTEGER NOT NULL CHECK (LastsMinutes > 0),
  RotationsPerHour INTEGER NOT NULL CHECK (RotationsPerHour > 0),
  ProposedBy TEXT NOT NULL,
  ProposedAt INTEGER NOT NULL,
  ConfirmedBy TEXT NULL CHECK ((ConfirmedBy IS NULL) = (ConfirmedAt IS NULL)),
  ConfirmedAt INTEGER NULL,
  -- Of the confirmation and LastsMinutes; lifted limits end here at the latest.
  EndsAt INTEGER NULL CHECK ((EndsAt IS NULL) = (ConfirmedAt IS NULL)),
  EndedBy TEXT NULL CHECK ((EndedBy IS NULL) = (EndedAt IS NULL)),
  EndedAt INTEGER NULL
) STRICT;
CREATE TRIGGER MPE_Incidents_Forward BEFORE UPDATE ON MPE_Incidents
WHEN OLD.EndedAt IS NOT NULL OR NEW.ProposedBy <> OLD.ProposedBy
  OR (OLD.ConfirmedBy IS NOT NULL AND (NEW.ConfirmedBy IS NOT OLD.ConfirmedBy OR NEW.EndsAt IS NOT OLD.EndsAt))
BEGIN SELECT RAISE(ABORT, 'an incident is confirmed once and ended once'); END;
CREATE TRIGGER MPE_Incidents_NoDelete BEFORE DELETE ON MPE_Incidents BEGIN SELECT RAISE(ABORT, 'MPE_Incidents is never deleted from'); END;

-- Append-only: the machines of an incident.
CREATE TABLE MPE_IncidentMachines (
  IncidentId TEXT NOT NULL REFERENCES MPE_Incidents (IncidentId),
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  PRIMARY KEY (IncidentId, ClientId)
) STRICT;
CREATE INDEX MPE_IncidentMachines_Client ON MPE_IncidentMachines (ClientId);
CREATE TRIGGER MPE_IncidentMachines_NoUpdate BEFORE UPDATE ON MPE_IncidentMachines BEGIN SELECT RAISE(ABORT, 'MPE_IncidentMachines is append-only'); END;
CREATE TRIGGER MPE_IncidentMachines_NoDelete BEFORE DELETE ON MPE_IncidentMachines BEGIN SELECT RAISE(ABORT, 'MPE_IncidentMachines is append-only'); END;

---------------------------------------------------------------------------------------------------
-- Policy: life of a policy, rings, what was done to it; devices for the denominator of coverage

-- A policy of a release before this one applies as it did: it is deployed.
ALTER TABLE MPE_Policies ADD COLUMN State TEXT NOT NULL DEFAULT 'DEPLOYED'
  CHECK (State IN ('DRAFT', 'DEPLOYED', 'RETIRED'));
ALTER TABLE MPE_Policies ADD COLUMN MbamMigration INTEGER NOT NULL DEFAULT 0 CHECK (MbamMigration IN (0, 1));
-- Whether keys are rotated although the client reports another manager.
ALTER TABLE MPE_Policies ADD COLUMN RotateBesideOthers INTEGER NOT NULL DEFAULT 0
  CHECK (RotateBesideOthers IN (0, 1));
-- One more with each change; the change's row in MPE_PolicyEvents has the same number.
ALTER TABLE MPE_Policies ADD COLUMN Revision INTEGER NOT NULL DEFAULT 1 CHECK (Revision >= 1);
ALTER TABLE MPE_Policies ADD COLUMN DeployedAt INTEGER NULL;
ALTER TABLE MPE_Policies ADD COLUMN RetiredAt INTEGER NULL;

-- Targets of a policy in their order. A policy with rings applies to the tags of those that are not closed.
CREATE TABLE MPE_PolicyRings (
  PolicyId TEXT NOT NULL REFERENCES MPE_Policies (PolicyId),
  Position INTEGER NOT NULL CHECK (Position >= 1),
  Tag TEXT NOT NULL,
  State TEXT NOT NULL CHECK (State IN ('CLOSED', 'OPEN', 'PAUSED')),
  Opens TEXT NOT NULL CHECK (Opens IN ('BY_HAND', 'AFTER_PREVIOUS')),
  -- Thousandths of the machines heard from that may fail before the ring pauses by itself.
  FailureLimit INTEGER NOT NULL CHECK (FailureLimit BETWEEN 0 AND 1000),
  -- How long it must have been open and fine before the next one opens.
  SoakMinutes INTEGER NOT NULL CHECK (SoakMinutes >= 0),
  RotationsPerHour INTEGER NOT NULL CHECK (RotationsPerHour >= 0),
  OpenedAt INTEGER NULL CHECK ((OpenedAt IS NULL) = (State = 'CLOSED')),
  PausedAt INTEGER NULL CHECK ((PausedAt IS NULL) = (State <> 'PAUSED')),
  PauseReason TEXT NOT NULL,
  PRIMARY KEY (PolicyId, Position),
  UNIQUE (PolicyId, Tag)
) STRICT;

-- Append-only: the fence between two that change one policy, and its history.
CREATE TABLE MPE_PolicyEvents (
  PolicyId TEXT NOT NULL REFERENCES MPE_Policies (PolicyId),
  Revision INTEGER NOT NULL CHECK (Revision >= 1),
  Event TEXT NOT NULL,
  Detail TEXT NOT NULL,
  HappenedAt INTEGER NOT NULL,
  DoneBy TEXT NOT NULL,
  PRIMARY KEY (PolicyId, Revision)
) STRICT;
CREATE TRIGGER MPE_PolicyEvents_NoUpdate BEFORE UPDATE ON MPE_PolicyEvents BEGIN SELECT RAISE(ABORT, 'MPE_PolicyEvents is append-only'); END;
CREATE TRIGGER MPE_PolicyEvents_NoDelete BEFORE DELETE ON MPE_PolicyEvents BEGIN SELECT RAISE(ABORT, 'MPE_PolicyEvents is append-only'); END;

-- Machines that there are, by an inventory of the organisation. Hints: they prove nothing.
CREATE TABLE MPE_Devices (
  -- domain\name in lower case.
  DeviceKey TEXT NOT NULL PRIMARY KEY,
  MachineName TEXT NOT NULL,
  Domain TEXT NOT NULL,
  HardwareId TEXT NOT NULL,
  Tag TEXT NOT NULL,
  ImportedAt INTEGER NOT NULL
) STRICT;

-- Machines of a ring.
CREATE INDEX MPE_Clients_Tag ON MPE_Clients (Tag);

---------------------------------------------------------------------------------------------------
-- Rotation

ALTER TABLE MPE_RotationRequests ADD COLUMN Origin TEXT NOT NULL DEFAULT 'OPERATOR'
  CHECK (Origin IN ('DISCLOSURE', 'OPERATOR', 'MIGRATION', 'INCIDENT', 'POLICY'));
ALTER TABLE MPE_RotationRequests ADD COLUMN RequestedBy TEXT NOT NULL DEFAULT '';
-- No client is told before this: pacing.
ALTER TABLE MPE_RotationRequests ADD COLUMN NotBefore INTEGER NOT NULL DEFAULT 0;
-- One more with each exposure of a key of the volume. A request is closed only in the round in which
-- its evidence was read.
ALTER TABLE MPE_RotationRequests ADD COLUMN Round INTEGER NOT NULL DEFAULT 1 CHECK (Round >= 1);
ALTER TABLE MPE_RotationRequests ADD COLUMN ClosedBy TEXT NOT NULL DEFAULT '';
ALTER TABLE MPE_RotationRequests ADD COLUMN CloseReason TEXT NOT NULL DEFAULT '';
DROP INDEX MPE_RotationRequests_Open;
CREATE UNIQUE INDEX MPE_RotationRequests_Open ON MPE_RotationRequests (VolumeId, KeyId) WHERE ClosedAt IS NULL;
CREATE INDEX MPE_RotationRequests_Due ON MPE_RotationRequests (Deadline, RequestId) WHERE ClosedAt IS NULL;
CREATE INDEX MPE_RotationRequests_Closed ON MPE_RotationRequests (ClosedAt, RequestId) WHERE ClosedAt IS NOT NULL;
CREATE INDEX MPE_RotationRequests_Volume ON MPE_RotationRequests (VolumeId, KeyId);
CREATE INDEX MPE_RotationRequests_Key ON MPE_RotationRequests (KeyId);
CREATE TRIGGER MPE_RotationRequests_Final BEFORE UPDATE ON MPE_RotationRequests
WHEN OLD.ClosedAt IS NOT NULL OR NEW.Round < OLD.Round OR NEW.VolumeId <> OLD.VolumeId OR NEW.KeyId <> OLD.KeyId
BEGIN SELECT RAISE(ABORT, 'a rotation request that is closed stays so'); END;
CREATE TRIGGER MPE_RotationRequests_NoDelete BEFORE DELETE ON MPE_RotationRequests BEGIN SELECT RAISE(ABORT, 'a rotation request is closed, never deleted'); END;

-- Append-only: the first reply of each round that carried the command to a client.
CREATE TABLE MPE_RotationDeliveries (
  RequestId TEXT NOT NULL REFERENCES MPE_RotationRequests (RequestId),
  ClientId TEXT NOT NULL REFERENCES MPE_Clients (ClientId),
  Round INTEGER NOT NULL CHECK (Round >= 1),
  FirstDeliveredAt INTEGER NOT NULL,
  PRIMARY KEY (RequestId, ClientId, Round)
) STRICT;
CREATE TRIGGER MPE_RotationDeliveries_NoUpdate BEFORE UPDATE ON MPE_RotationDeliveries BEGIN SELECT RAISE(ABORT, 'MPE_RotationDeliveries is append-only'); END;
CREATE TRIGGER MPE_RotationDeliveries_NoDelete BEFORE DELETE ON MPE_RotationDeliveries BEGIN SELECT RAISE(ABORT, 'MPE_RotationDeliveries is append-only'); END;

-- The keeper looks for exposed keys that came back, in the order of time.
CREATE INDEX MPE_Exposures_ExposedAt ON MPE_Exposures (ExposedAt, ExposureId);

---------------------------------------------------------------------------------------------------
-- People: local accounts, sessions, refused sign-ins, break-glass; what a search seeks

-- AccountKey: the name in lower case. Revision: one more with each change of roles, password or state.
CREATE TABLE MPE_Accounts (
  AccountKey TEXT NOT NULL PRIMARY KEY,
  Name TEXT NOT NULL,
  Roles TEXT NOT NULL CHECK (json_type(Roles) = 'array'),
  PasswordHash TEXT NOT NULL,
  Disabled INTEGER NOT NULL CHECK (Disabled IN (0, 1)),
  Revision INTEGER NOT NULL CHECK (Revision >= 1),
  CreatedAt INTEGER NOT NULL,
  ChangedAt INTEGER NOT NULL,
  LastSignInAt INTEGER NULL
) STRICT;

-- Of an account or an address: refused sign-ins in a row, and until when the next one is refused.
CREATE TABLE MPE_SignInFailures (
  Subject TEXT NOT NULL PRIMARY KEY,
  Failures INTEGER NOT NULL CHECK (Failures >= 1),
  LastAt INTEGER NOT NULL,
  LockedUntil INTEGER NOT NULL
) STRICT;
CREATE INDEX MPE_SignInFailures_LastAt ON MPE_SignInFailures (LastAt);

-- TokenHash: SHA-256 of the token in the cookie, which is kept nowhere.
CREATE TABLE MPE_Sessions (
  TokenHash BLOB NOT NULL PRIMARY KEY CHECK (length(TokenHash) = 32),
  PersonKey TEXT NOT NULL,
  PersonName TEXT NOT NULL,
  Roles TEXT NOT NULL CHECK (json_type(Roles) = 'array'),
  SignIn TEXT NOT NULL CHECK (SignIn IN ('oidc', 'local', 'break-glass')),
  Portal TEXT NOT NULL CHECK (Portal IN ('helpdesk', 'self-service')),
  -- Of the local account at its sign-in; null: signed in otherwise.
  AccountRevision INTEGER NULL CHECK ((AccountRevision IS NULL) = (SignIn <> 'local')),
  NoticeAccepted INTEGER NOT NULL CHECK (NoticeAccepted IN (0, 1)),
  CreatedAt INTEGER NOT NULL,
  LastSeenAt INTEGER NOT NULL,
  EndsAt INTEGER NOT NULL
) STRICT;
CREATE INDEX MPE_Sessions_EndsAt ON MPE_Sessions (EndsAt);
CREATE INDEX MPE_Sessions_Person ON MPE_Sessions (PersonKey);

-- The break-glass account. The second factor is sealed under a key of the password.
CREATE TABLE MPE_BreakGlass (
  Id INTEGER PRIMARY KEY CHECK (Id = 1),
  PasswordHash TEXT NOT NULL,
  SealedTotp TEXT NOT NULL,
  -- The newest time step that was used: each code once.
  LastStep INTEGER NOT NULL CHECK (LastStep >= 0),
  -- Of whoever used it: which of two that come with one code was first.
  LastUse TEXT NOT NULL,
  ArmedUntil INTEGER NULL,
  ArmedBy TEXT NOT NULL,
  SetAt INTEGER NOT NULL
) STRICT;

-- Append-only: the number by which compatible interfaces name a machine.
CREATE TABLE MPE_MachineNumbers (
  ClientId TEXT NOT NULL PRIMARY KEY REFERENCES MPE_Clients (ClientId),
  Number INTEGER NOT NULL UNIQUE CHECK (Number >= 16777216)
) STRICT;

CREATE INDEX MPE_ClientUsers_Name ON MPE_ClientUsers (Name COLLATE NOCASE, Domain COLLATE NOCASE);
CREATE INDEX MPE_ClientStates_MachineName ON MPE_ClientStates (MachineName COLLATE NOCASE);
CREATE TRIGGER MPE_MachineNumbers_NoUpdate BEFORE UPDATE ON MPE_MachineNumbers BEGIN SELECT RAISE(ABORT, 'MPE_MachineNumbers is append-only'); END;
CREATE TRIGGER MPE_MachineNumbers_NoDelete BEFORE DELETE ON MPE_MachineNumbers BEGIN SELECT RAISE(ABORT, 'MPE_MachineNumbers is append-only'); END;

-- What a policy begins by itself: how much in the last hour, and which volumes it has reached.
CREATE INDEX MPE_RotationRequests_Begun ON MPE_RotationRequests (RequestedBy, OpenedAt);
CREATE INDEX MPE_Exposures_Volume ON MPE_Exposures (VolumeId, Cause);
-- How rings fare: what a machine says last of its open rotations.
CREATE INDEX MPE_RotationReports_Failed ON MPE_RotationReports (ClientId) WHERE Outcome = 'FAILED';
