-- Append-only: retired sealing keys, wrapped to the certificate (JWE, typ mpe-dk), once for each
-- certificate. A worker cannot open them, the recovery host can: `mpe site-keys restore`.
CREATE TABLE dbo.MPE_SealingKeyArchive (
  Kid varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  CertificateThumbprint varchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
  Alg varchar(64) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT CK_MPE_SealingKeyArchive_Alg CHECK (Alg IN ('RSA-OAEP-256', 'ECDH-ES+A256KW')),
  PublicJwk nvarchar(max) NOT NULL
    CONSTRAINT CK_MPE_SealingKeyArchive_PublicJwk CHECK (ISJSON(PublicJwk) = 1),
  Wrapped varchar(max) NOT NULL,
  -- When the sealing key was made.
  CreatedAt datetime2(3) NOT NULL,
  ArchivedAt datetime2(3) NOT NULL,
  CONSTRAINT PK_MPE_SealingKeyArchive PRIMARY KEY (Kid, CertificateThumbprint)
);
GO

CREATE TRIGGER dbo.MPE_SealingKeyArchive_AppendOnly ON dbo.MPE_SealingKeyArchive AFTER UPDATE, DELETE AS
IF EXISTS (SELECT 1 FROM deleted) THROW 51001, N'MPE_SealingKeyArchive is append-only', 1;
GO

-- What the site has learnt since: workers look for it every few seconds.
CREATE INDEX IX_MPE_Quarantine_Reason ON dbo.MPE_Quarantine (Reason, Kid);
GO
