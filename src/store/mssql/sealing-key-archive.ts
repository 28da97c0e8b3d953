import type { ArchivedSealingKeyRow } from '../site-store.js';
import { again } from './again.js';
import { text, time, word } from './columns.js';
import { textOf, timeOf, wordOf } from './parameters.js';
import { firstSet, type Session } from './session.js';

/** Adds a retired key to the archive; what is there for this certificate already stays. */
export async function archiveSealingKey(session: Session, row: ArchivedSealingKeyRow): Promise<void> {
  await again('archiving a sealing key', () =>
    session.query(
      `INSERT INTO MPE_SealingKeyArchive (Kid, CertificateThumbprint, Alg, PublicJwk, Wrapped, CreatedAt, ArchivedAt)
       SELECT @kid, @certificate, @alg, @publicJwk, @wrapped, @createdAt, @archivedAt
       WHERE NOT EXISTS (SELECT 1 FROM MPE_SealingKeyArchive
                         WHERE Kid = @kid AND CertificateThumbprint = @certificate)`,
      {
        kid: wordOf(row.kid),
        certificate: wordOf(row.certificateThumbprint),
        alg: wordOf(row.alg),
        publicJwk: textOf(row.publicJwk),
        wrapped: wordOf(row.wrapped),
        createdAt: timeOf(row.createdAtMs),
        archivedAt: timeOf(row.archivedAtMs),
      },
    ),
  );
}

/** Every archived key, by kid and certificate. */
export async function readArchivedSealingKeys(session: Session): Promise<ArchivedSealingKeyRow[]> {
  const sets = await session.query(
    `SELECT Kid, CertificateThumbprint, Alg, PublicJwk, Wrapped, CreatedAt, ArchivedAt
     FROM MPE_SealingKeyArchive ORDER BY Kid, CertificateThumbprint`,
  );
  return firstSet(sets).map((row) => ({
    kid: text(row, 'Kid'),
    certificateThumbprint: text(row, 'CertificateThumbprint'),
    alg: word(row, 'Alg', ['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const),
    publicJwk: text(row, 'PublicJwk'),
    wrapped: text(row, 'Wrapped'),
    createdAtMs: time(row, 'CreatedAt'),
    archivedAtMs: time(row, 'ArchivedAt'),
  }));
}
