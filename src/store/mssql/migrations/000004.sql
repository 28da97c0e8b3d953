-- What let a signing key in beside a token or the key before: the certificate or device whose client
-- it is (SHA-256 of the certificate's public key; tenant and device), and the operator who approved it.
ALTER TABLE dbo.MPE_ClientKeys ADD ChannelKind varchar(64) COLLATE Latin1_General_BIN2 NULL
  CONSTRAINT CK_MPE_ClientKeys_ChannelKind CHECK (ChannelKind IN ('client-certificate', 'entra'));
ALTER TABLE dbo.MPE_ClientKeys ADD ChannelSubject varchar(128) COLLATE Latin1_General_BIN2 NULL;
ALTER TABLE dbo.MPE_ClientKeys ADD ApprovedBy nvarchar(256) NULL;
GO

-- Verified registrations that wait for an operator. Their client is not registered, or has another
-- key until then. Bounded; a row that nobody asked for in a week makes room.
CREATE TABLE dbo.MPE_PendingRegistrations (
  ClientId uniqueidentifier NOT NULL
    CONSTRAINT CK_MPE_PendingRegistrations_ClientId CHECK (ClientId <> '00000000-0000-0000-0000-000000000000'),
  Kid varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  PublicJwk nvarchar(max) NOT NULL
    CONSTRAINT CK_MPE_PendingRegistrations_PublicJwk CHECK (ISJSON(PublicJwk) = 1),
  RegistrationId uniqueidentifier NOT NULL,
  MachineName nvarchar(512) NOT NULL,
  Domain nvarchar(512) NOT NULL,
  HardwareId nvarchar(512) NOT NULL,
  JoinType varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
  ChannelKind varchar(64) COLLATE Latin1_General_BIN2 NULL
    CONSTRAINT CK_MPE_PendingRegistrations_ChannelKind CHECK (ChannelKind IN ('client-certificate', 'entra')),
  ChannelSubject varchar(128) COLLATE Latin1_General_BIN2 NULL,
  FirstAskedAt datetime2(3) NOT NULL,
  LastAskedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_PendingRegistrations PRIMARY KEY (ClientId, Kid)
);
CREATE INDEX IX_MPE_PendingRegistrations_LastAskedAt ON dbo.MPE_PendingRegistrations (LastAskedAt);

-- Hints for operators: machines that look alike.
CREATE INDEX IX_MPE_Clients_HardwareId ON dbo.MPE_Clients (HardwareId);
CREATE INDEX IX_MPE_Clients_MachineName ON dbo.MPE_Clients (MachineName);
GO
