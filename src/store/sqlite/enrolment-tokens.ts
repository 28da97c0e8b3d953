import type { Guid } from '../../protocol/guid.js';
import type { EnrolmentTokenRow } from '../site-store.js';
import { bytes, guid, integer, integerOrNull, text } from './columns.js';
import type { Connection } from './connection.js';

/** Adds an enrolment token, one statement. */
export function insertEnrolmentToken(c: Connection, row: EnrolmentTokenRow): void {
  c.run(
    `INSERT INTO MPE_EnrolmentTokens (TokenId, SecretHash, UsesAllowed, UsesLeft, ExpiresAt, Tag,
       RevokedAt, CreatedAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    row.tokenId,
    row.secretHash,
    row.usesAllowed,
    row.usesLeft,
    row.expiresAtMs,
    row.tag,
    row.revokedAtMs,
    row.createdAtMs,
  );
}

/** All enrolment tokens, newest first; the secrets themselves are nowhere. */
export function readEnrolmentTokens(c: Connection): EnrolmentTokenRow[] {
  return c.all('SELECT * FROM MPE_EnrolmentTokens ORDER BY CreatedAt DESC, TokenId').map((row) => ({
    tokenId: guid(row, 'TokenId'),
    secretHash: bytes(row, 'SecretHash'),
    usesAllowed: integer(row, 'UsesAllowed'),
    usesLeft: integer(row, 'UsesLeft'),
    expiresAtMs: integer(row, 'ExpiresAt'),
    tag: text(row, 'Tag'),
    revokedAtMs: integerOrNull(row, 'RevokedAt'),
    createdAtMs: integer(row, 'CreatedAt'),
  }));
}

/** Ends a token; one that was ended before keeps its time. Whether there is such a token. */
export function revokeEnrolmentToken(c: Connection, tokenId: Guid, atMs: number): boolean {
  const sql = 'UPDATE MPE_EnrolmentTokens SET RevokedAt = coalesce(RevokedAt, ?) WHERE TokenId = ?';
  return c.run(sql, atMs, tokenId) > 0;
}
