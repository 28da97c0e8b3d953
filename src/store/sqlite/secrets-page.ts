import { NIL_GUID } from '../../protocol/guid.js';
import { SECRET_KINDS, type SecretForm } from '../../secrets/types.js';
import type { SecretPosition, StoredSecret } from '../site-store.js';
import { bytes, flag, guid, integer, numbered } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

const KEY_COLUMNS = `s.SecretId, s.Generation, k.Kind - 1 AS Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint,
      s.Form, s.DataKeyId, s.Content, s.StoredAt
    FROM MPE_KeySecrets s JOIN MPE_Keys k ON k.SecretId = s.SecretId`;
const TPM_COLUMNS = `s.SecretId, s.Generation, 2 AS Kind, t.ClientId AS KeyId, '${NIL_GUID}' AS VolumeId, t.FingerprintKeyId,
      t.Fingerprint, s.Form, s.DataKeyId, s.Content, s.StoredAt
    FROM MPE_TpmOwnerAuthSecrets s JOIN MPE_TpmOwnerAuths t ON t.SecretId = s.SecretId`;
const DAMAGED = `EXISTS (SELECT 1 FROM MPE_SecretDamage d
                      WHERE d.SecretId = g.SecretId AND d.Generation = g.Generation) AS Damaged`;

const PAGE_SQL = `
  SELECT g.*, ${DAMAGED}
  FROM (
    SELECT ${KEY_COLUMNS} WHERE (s.SecretId, s.Generation) > (?1, ?2)
    UNION ALL
    SELECT ${TPM_COLUMNS} WHERE (s.SecretId, s.Generation) > (?1, ?2)
    ORDER BY 1, 2 LIMIT ?3) g`;

/** At most `limit` generations in order of (secret id, generation), after a position; null begins. */
export function secretsPage(c: Connection, after: SecretPosition | null, limit: number): StoredSecret[] {
  return c.all(PAGE_SQL, after?.secretId ?? Buffer.alloc(0), after?.generation ?? 0, limit).map(storedSecret);
}

const STORED_KEYS_SQL = `
  SELECT g.*, ${DAMAGED}
  FROM (SELECT s.rowid AS Place, ${KEY_COLUMNS} WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2) g ORDER BY g.Place`;
const STORED_TPM_SQL = `
  SELECT g.*, ${DAMAGED}
  FROM (SELECT s.rowid AS Place, ${TPM_COLUMNS} WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT ?2) g ORDER BY g.Place`;

/**
 * Generations in the order in which they were stored. One writer at a time and nothing deleted: the
 * row numbers of both tables grow with each commit, and a place is a pair of them.
 */
export function secretsStoredAfter(
  c: Connection,
  place: string | null,
  limit: number,
): { readonly secrets: readonly StoredSecret[]; readonly place: string } {
  return c.snapshot(() => {
    const ends = [lastRow(c, 'MPE_KeySecrets'), lastRow(c, 'MPE_TpmOwnerAuthSecrets')] as const;
    // A place beyond the end is of a newer database than this one, which was restored: start over.
    const known =
      /^(\d{1,15})\.(\d{1,15})$/
        .exec(place ?? '')
        ?.slice(1)
        .map(Number) ?? [];
    const from = ends.map((end, table) => {
      const row = known[table];
      return row === undefined || row > end ? Math.max(0, end - limit) : row;
    });
    const keys = c.all(STORED_KEYS_SQL, from[0] ?? 0, limit);
    const tpm = c.all(STORED_TPM_SQL, from[1] ?? 0, limit - keys.length);
    const next = [keys.at(-1), tpm.at(-1)].map((row, table) =>
      row === undefined ? (from[table] ?? 0) : integer(row, 'Place'),
    );
    return { secrets: [...keys, ...tpm].map(storedSecret), place: next.join('.') };
  });
}

function lastRow(c: Connection, table: 'MPE_KeySecrets' | 'MPE_TpmOwnerAuthSecrets'): number {
  const row = c.get(`SELECT coalesce(max(rowid), 0) AS Last FROM ${table}`);
  return row === undefined ? 0 : integer(row, 'Last');
}

function storedSecret(row: SqlRow): StoredSecret {
  const content: SecretForm =
    integer(row, 'Form') === 1
      ? { form: 'PLAIN', bytes: bytes(row, 'Content') }
      : { form: 'SEALED', dataKeyId: guid(row, 'DataKeyId'), bytes: bytes(row, 'Content') };
  return {
    identity: {
      secretId: bytes(row, 'SecretId'),
      kind: numbered(row, 'Kind', SECRET_KINDS),
      keyId: guid(row, 'KeyId'),
      volumeId: guid(row, 'VolumeId'),
      fingerprintKeyId: guid(row, 'FingerprintKeyId'),
      fingerprint: bytes(row, 'Fingerprint'),
    },
    generation: integer(row, 'Generation'),
    content,
    damaged: flag(row, 'Damaged'),
    storedAtMs: integer(row, 'StoredAt'),
  };
}
