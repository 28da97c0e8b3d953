import { notArchived } from '../not-archived.js';
import type { SealingKeyRow } from '../site-store.js';
import { integer, text, word } from './columns.js';
import type { Connection } from './connection.js';

/** All sealing keys, newest first. */
export function readSealingKeys(c: Connection): SealingKeyRow[] {
  return c.all('SELECT * FROM MPE_SealingKeys ORDER BY CreatedAt DESC, Kid').map((row) => ({
    kid: text(row, 'Kid'),
    alg: word(row, 'Alg', ['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const),
    publicJwk: text(row, 'PublicJwk'),
    wrappedPrivate: text(row, 'WrappedPrivate'),
    state: word(row, 'State', ['ACTIVE', 'RETIRED'] as const),
    createdAtMs: integer(row, 'CreatedAt'),
  }));
}

/** Adds a sealing key, one statement; a kid that is there already is STORE_FAILED. */
export function insertSealingKey(c: Connection, row: SealingKeyRow): void {
  c.run(
    `INSERT INTO MPE_SealingKeys (Kid, Alg, PublicJwk, WrappedPrivate, State, CreatedAt)
     VALUES (?, ?, ?, ?, ?, ?)`,
    row.kid,
    row.alg,
    row.publicJwk,
    row.wrappedPrivate,
    row.state,
    row.createdAtMs,
  );
}

/**
 * Removes a sealing key that is in the archive, and what the file and its log hold of it; false where
 * it is not there (any more).
 *
 * @throws MpeError VALUE_INVALID where it is not archived: it would be lost
 */
export function removeSealingKey(c: Connection, kid: string): boolean {
  const removed = c.immediate(() => {
    if (c.get('SELECT 1 FROM MPE_SealingKeys WHERE Kid = ?', kid) === undefined) return false;
    if (c.get('SELECT 1 FROM MPE_SealingKeyArchive WHERE Kid = ?', kid) === undefined) throw notArchived(kid);
    c.run('DELETE FROM MPE_SealingKeys WHERE Kid = ?', kid);
    return true;
  });
  if (removed) c.checkpoint();
  return removed;
}
