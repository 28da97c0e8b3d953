import type { Guid } from '../../protocol/guid.js';
import { guid, integer, text, time, timeOrNull } from './columns.js';
import { bytesOf, guidOf } from './parameters.js';
import { firstRow, type Session } from './session.js';

/** An enrolment token that lets one more client in. */
export interface UsableToken {
  readonly tokenId: Guid;
  readonly tag: string;
}

/**
 * Locks a token until the end of the transaction and tells whether it has a use left.
 *
 * The UPDATE changes nothing; it takes the row's exclusive lock, for which it waits until a rival
 * has committed. Only then does the SELECT begin, and it sees this transaction's own version of the
 * row, made from the last committed one. That is so with locking and with row versions alike
 * (READ_COMMITTED_SNAPSHOT, PostgreSQL below Babelfish): an update always works on the row as it is,
 * never on the version of a snapshot. Until the commit nobody else can take a use.
 *
 * @returns null for a token that is unknown, used up, expired or revoked
 */
export async function lockToken(
  tx: Session,
  secretHash: Uint8Array,
  atMs: number,
): Promise<UsableToken | null> {
  const row = firstRow(
    await tx.query(
      `UPDATE MPE_EnrolmentTokens SET UsesLeft = UsesLeft WHERE SecretHash = @hash;
       SELECT TokenId, Tag, UsesLeft, ExpiresAt, RevokedAt FROM MPE_EnrolmentTokens WHERE SecretHash = @hash;`,
      { hash: bytesOf(secretHash) },
    ),
  );
  if (row === undefined) return null;
  const usable =
    integer(row, 'UsesLeft') > 0 && time(row, 'ExpiresAt') > atMs && timeOrNull(row, 'RevokedAt') === null;
  return usable ? { tokenId: guid(row, 'TokenId'), tag: text(row, 'Tag') } : null;
}

/** Takes a use of a locked token. Were it not locked, the check of UsesLeft would still refuse the last. */
export async function takeUse(tx: Session, token: UsableToken): Promise<void> {
  await tx.query('UPDATE MPE_EnrolmentTokens SET UsesLeft = UsesLeft - 1 WHERE TokenId = @id', {
    id: guidOf(token.tokenId),
  });
}
