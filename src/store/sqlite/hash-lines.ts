import { NIL_GUID } from '../../protocol/guid.js';
import type { HashLine } from '../site-store.js';
import type { Connection } from './connection.js';

/**
 * The lines of the site hash: only what does not depend on when, by whom and in which order things
 * were stored. Every column is text, and SQLite's BINARY order of it is the order of its UTF-8
 * bytes, so that any store can sort the same way.
 *
 *  * clients: client id, epoch
 *  * keys: kind, key id, volume, fingerprint key, fingerprint (a TPM owner authorization is kind 3,
 *    its key id the client id, its volume the nil GUID)
 *  * proofs: client id, then the key's columns
 *  * reports: client id, volume, type, epoch, sequence, digest, protectors (sorted, comma-separated)
 */
const QUERIES = [
  ['clients', 'SELECT ClientId AS a, CAST(Epoch AS TEXT) AS b FROM MPE_Clients ORDER BY 1, 2'],
  [
    'keys',
    `SELECT CAST(Kind AS TEXT) AS a, KeyId COLLATE BINARY AS b, VolumeId AS c, FingerprintKeyId AS d,
       lower(hex(Fingerprint)) AS e FROM MPE_Keys
     UNION ALL
     SELECT '3', ClientId, '${NIL_GUID}', FingerprintKeyId, lower(hex(Fingerprint)) FROM MPE_TpmOwnerAuths
     ORDER BY 1, 2, 3, 4, 5`,
  ],
  [
    'proofs',
    `SELECT p.ClientId AS a, CAST(k.Kind AS TEXT) AS b, k.KeyId COLLATE BINARY AS c, k.VolumeId AS d,
       k.FingerprintKeyId AS e, lower(hex(k.Fingerprint)) AS f
     FROM MPE_KeyProofs p JOIN MPE_Keys k ON k.SecretId = p.SecretId
     UNION ALL
     SELECT p.ClientId, '3', t.ClientId, '${NIL_GUID}', t.FingerprintKeyId, lower(hex(t.Fingerprint))
     FROM MPE_TpmOwnerAuthProofs p JOIN MPE_TpmOwnerAuths t ON t.SecretId = p.SecretId
     ORDER BY 1, 2, 3, 4, 5, 6`,
  ],
  [
    'reports',
    `SELECT ClientId AS a, VolumeId AS b, CAST(VolumeType AS TEXT) AS c, CAST(Epoch AS TEXT) AS d,
       CAST(Sequence AS TEXT) AS e, lower(hex(Digest)) AS f,
       (SELECT coalesce(group_concat(value, ','), '') FROM (SELECT value FROM json_each(KeyIds) ORDER BY value)) AS g
     FROM MPE_Reports ORDER BY 1, 2`,
  ],
] as const satisfies readonly (readonly [HashLine['table'], string])[];

/**
 * Streams the lines, sorted by table and columns, from one state of the database. `c` is a
 * connection of its own: the snapshot stays open while the caller takes its time.
 */
export function* hashLines(c: Connection): Generator<HashLine> {
  c.db.exec('BEGIN');
  try {
    for (const [table, sql] of QUERIES) {
      for (const row of c.db.prepare<[], string[]>(sql).raw().iterate()) yield { table, columns: row };
    }
  } finally {
    c.db.exec('COMMIT');
  }
}
