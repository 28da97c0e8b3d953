-- What let a signing key in beside a token or the key before: the certificate or device whose client
-- it is (SHA-256 of the certificate's public key; tenant and device), and the operator who approved it.
ALTER TABLE MPE_ClientKeys ADD COLUMN ChannelKind TEXT NULL
  CHECK (ChannelKind IN ('client-certificate', 'entra'));
ALTER TABLE MPE_ClientKeys ADD COLUMN ChannelSubject TEXT NULL;
ALTER TABLE MPE_ClientKeys ADD COLUMN ApprovedBy TEXT NULL;

-- Verified registrations that wait for an operator. Their client is not registered, or has another
-- key until then. Bounded; a row that nobody asked for in a week makes room.
CREATE TABLE MPE_PendingRegistrations (
  ClientId TEXT NOT NULL
    CHECK (length(ClientId) = 36 AND ClientId <> '00000000-0000-0000-0000-000000000000'),
  Kid TEXT NOT NULL,
  PublicJwk TEXT NOT NULL,
  RegistrationId TEXT NOT NULL,
  MachineName TEXT NOT NULL,
  Domain TEXT NOT NULL,
  HardwareId TEXT NOT NULL,
  JoinType TEXT NOT NULL,
  ChannelKind TEXT NULL CHECK (ChannelKind IN ('client-certificate', 'entra')),
  ChannelSubject TEXT NULL,
  FirstAskedAt INTEGER NOT NULL,
  LastAskedAt INTEGER NOT NULL,
  PRIMARY KEY (ClientId, Kid)
) STRICT;
CREATE INDEX MPE_PendingRegistrations_LastAskedAt ON MPE_PendingRegistrations (LastAskedAt);

-- Hints for operators: machines that look alike.
CREATE INDEX MPE_Clients_HardwareId ON MPE_Clients (HardwareId COLLATE NOCASE);
CREATE INDEX MPE_Clients_MachineName ON MPE_Clients (MachineName COLLATE NOCASE);
