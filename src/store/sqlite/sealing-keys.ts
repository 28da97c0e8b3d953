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
