import type { SealingKeyRow } from '../site-store.js';
import { text, time, word } from './columns.js';
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
