import type { ArchivedSealingKeyRow } from '../site-store.js';
import { integer, text, word } from './columns.js';
import type { Connection } from './connection.js';

/** Adds a retired key to the archive; what is there for this certificate already stays. */
export function archiveSealingKey(c: Connection, row: ArchivedSealingKeyRow): void {
  c.run(
    `INSERT INTO MPE_SealingKeyArchive (Kid, CertificateThumbprint, Alg, PublicJwk, Wrapped, CreatedAt, ArchivedAt)
     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    row.kid,
    row.certificateThumbprint,
    row.alg,
    row.publicJwk,
    row.wrapped,
    row.createdAtMs,
    row.archivedAtMs,
  );
}

/** Every archived key, by kid and certificate. */
export function readArchivedSealingKeys(c: Connection): ArchivedSealingKeyRow[] {
  return c.all('SELECT * FROM MPE_SealingKeyArchive ORDER BY Kid, CertificateThumbprint').map((row) => ({
    kid: text(row, 'Kid'),
    certificateThumbprint: text(row, 'CertificateThumbprint'),
    alg: word(row, 'Alg', ['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const),
    publicJwk: text(row, 'PublicJwk'),
    wrapped: text(row, 'Wrapped'),
    createdAtMs: integer(row, 'CreatedAt'),
    archivedAtMs: integer(row, 'ArchivedAt'),
  }));
}
