import type { Guid } from '../../protocol/guid.js';
import type { EnrolmentTokenRow } from '../site-store.js';
import { bytes, guid, integer, text, time, timeOrNull } from './columns.js';
import { bytesOf, guidOf, intOf, textOf, timeOf } from './parameters.js';
import { firstRow, firstSet, type Session } from './session.js';

/** Adds an enrolment token, one statement. */
export async function insertEnrolmentToken(session: Session, row: EnrolmentTokenRow): Promise<void> {
  await session.query(
    `INSERT INTO MPE_EnrolmentTokens (TokenId, SecretHash, UsesAllowed, UsesLeft, ExpiresAt, Tag, RevokedAt,
       CreatedAt)
     VALUES (@id, @hash, @usesAllowed, @usesLeft, @expiresAt, @tag, @revokedAt, @createdAt)`,
    {
      id: guidOf(row.tokenId),
      hash: bytesOf(row.secretHash),
      usesAllowed: intOf(row.usesAllowed),
      usesLeft: intOf(row.usesLeft),
      expiresAt: timeOf(row.expiresAtMs),
      tag: textOf(row.tag),
      revokedAt: timeOf(row.revokedAtMs),
      createdAt: timeOf(row.createdAtMs),
    },
  );
}

/** All enrolment tokens, newest first; the secrets themselves are nowhere. */
export async function readEnrolmentTokens(session: Session): Promise<EnrolmentTokenRow[]> {
  const sets = await session.query(
    `SELECT TokenId, SecretHash, UsesAllowed, UsesLeft, ExpiresAt, Tag, RevokedAt, CreatedAt
     FROM MPE_EnrolmentTokens ORDER BY CreatedAt DESC, CONVERT(char(36), TokenId)`,
  );
  return firstSet(sets).map((row) => ({
    tokenId: guid(row, 'TokenId'),
    secretHash: bytes(row, 'SecretHash'),
    usesAllowed: integer(row, 'UsesAllowed'),
    usesLeft: integer(row, 'UsesLeft'),
    expiresAtMs: time(row, 'ExpiresAt'),
    tag: text(row, 'Tag'),
    revokedAtMs: timeOrNull(row, 'RevokedAt'),
    createdAtMs: time(row, 'CreatedAt'),
  }));
}

/**
 * Ends a token; one that was ended before keeps its time. Whether there is such a token: looked
 * first, for a token that is there stays there.
 */
export async function revokeEnrolmentToken(session: Session, tokenId: Guid, atMs: number): Promise<boolean> {
  const sets = await session.query(
    `SELECT 1 AS Known FROM MPE_EnrolmentTokens WHERE TokenId = @id;
     UPDATE MPE_EnrolmentTokens SET RevokedAt = @at WHERE TokenId = @id AND RevokedAt IS NULL;`,
    { id: guidOf(tokenId), at: timeOf(atMs) },
  );
  return firstRow(sets) !== undefined;
}
