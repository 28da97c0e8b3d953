import { notArchived } from '../not-archived.js';
import type { SealingKeyRow } from '../site-store.js';
import { again } from './again.js';
import { text, time, word } from './columns.js';
import type { Connection } from './connection.js';
import { textOf, timeOf, wordOf } from './parameters.js';
import { firstSet, type Session } from './session.js';

/** All sealing keys, newest first. */
export async function readSealingKeys(session: Session): Promise<SealingKeyRow[]> {
  const sets = await session.query(
    `SELECT Kid, Alg, PublicJwk, WrappedPrivate, State, CreatedAt FROM MPE_SealingKeys
     ORDER BY CreatedAt DESC, Kid`,
  );
  return firstSet(sets).map((row) => ({
    kid: text(row, 'Kid'),
    alg: word(row, 'Alg', ['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const),
    publicJwk: text(row, 'PublicJwk'),
    wrappedPrivate: text(row, 'WrappedPrivate'),
    state: word(row, 'State', ['ACTIVE', 'RETIRED'] as const),
    createdAtMs: time(row, 'CreatedAt'),
  }));
}

/** Adds a sealing key, one statement; a kid that is there already is STORE_FAILED. */
export async function insertSealingKey(session: Session, row: SealingKeyRow): Promise<void> {
  await session.query(
    `INSERT INTO MPE_SealingKeys (Kid, Alg, PublicJwk, WrappedPrivate, State, CreatedAt)
     VALUES (@kid, @alg, @publicJwk, @wrappedPrivate, @state, @createdAt)`,
    {
      kid: wordOf(row.kid),
      alg: wordOf(row.alg),
      publicJwk: textOf(row.publicJwk),
      wrappedPrivate: wordOf(row.wrappedPrivate),
      state: wordOf(row.state),
      createdAt: timeOf(row.createdAtMs),
    },
  );
}

/**
 * Removes a sealing key that is in the archive; false where it is not there (any more).
 *
 * @throws MpeError VALUE_INVALID where it is not archived: it would be lost
 */
export async function removeSealingKey(connection: Connection, kid: string): Promise<boolean> {
  return again('removing a sealing key', () =>
    connection.transaction(async (tx) => {
      const [there = [], archived = []] = await tx.query(
        `SELECT 1 AS Found FROM MPE_SealingKeys WHERE Kid = @kid;
         SELECT 1 AS Found FROM MPE_SealingKeyArchive WHERE Kid = @kid;`,
        { kid: wordOf(kid) },
      );
      if (there.length === 0) return false;
      if (archived.length === 0) throw notArchived(kid);
      await tx.query('DELETE FROM MPE_SealingKeys WHERE Kid = @kid', { kid: wordOf(kid) });
      return true;
    }),
  );
}
