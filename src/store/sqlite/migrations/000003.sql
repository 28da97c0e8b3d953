-- Append-only: retired sealing keys, wrapped to the certificate (JWE, typ mpe-dk), once for each
-- certificate. A worker cannot open them, the recovery host can: `mpe site-keys restore`.
CREATE TABLE MPE_SealingKeyArchive (
  Kid TEXT NOT NULL,
  CertificateThumbprint TEXT NOT NULL,
  Alg TEXT NOT NULL CHECK (Alg IN ('RSA-OAEP-256', 'ECDH-ES+A256KW')),
  PublicJwk TEXT NOT NULL,
  Wrapped TEXT NOT NULL,
  -- When the sealing key was made.
  CreatedAt INTEGER NOT NULL,
  ArchivedAt INTEGER NOT NULL,
  PRIMARY KEY (Kid, CertificateThumbprint)
) STRICT;
CREATE TRIGGER MPE_SealingKeyArchive_NoUpdate BEFORE UPDATE ON MPE_SealingKeyArchive BEGIN SELECT RAISE(ABORT, 'MPE_SealingKeyArchive is append-only'); END;
CREATE TRIGGER MPE_SealingKeyArchive_NoDelete BEFORE DELETE ON MPE_SealingKeyArchive BEGIN SELECT RAISE(ABORT, 'MPE_SealingKeyArchive is append-only'); END;

-- What the site has learnt since: workers look for it every few seconds.
CREATE INDEX MPE_Quarantine_Reason ON MPE_Quarantine (Reason, Kid);
