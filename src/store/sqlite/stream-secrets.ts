import type { SecretForm } from '../../secrets/types.js';
import { SECRET_KINDS } from '../../secrets/types.js';
import { NIL_GUID } from '../../protocol/guid.js';
import type { StoredSecret } from '../site-store.js';
import { bytes, flag, guid, integer, numbered } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

const PAGE = 256;

/**
 * Every stored generation in order of (secret id, generation), read page by page so that the
 * connection is free in between. What is added while the stream runs may or may not appear.
 */
export async function* streamSecrets(c: Connection): AsyncGenerator<StoredSecret> {
  let after: { secretId: Uint8Array; generation: number } = { secretId: Buffer.alloc(0), generation: 0 };
  for (;;) {
    const page = c.all(SQL, after.secretId, after.generation, PAGE).map(fromRow);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { secretId: last.identity.secretId, generation: last.generation };
    await new Promise((resume) => setImmediate(resume));
  }
}

const SQL = `
  SELECT g.*, EXISTS (SELECT 1 FROM MPE_SecretDamage d
                      WHERE d.SecretId = g.SecretId AND d.Generation = g.Generation) AS Damaged
  FROM (
    SELECT s.SecretId, s.Generation, k.Kind - 1 AS Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint,
      s.Form, s.DataKeyId, s.Content, s.StoredAt
    FROM MPE_KeySecrets s JOIN MPE_Keys k ON k.SecretId = s.SecretId
    WHERE (s.SecretId, s.Generation) > (?1, ?2)
    UNION ALL
    SELECT s.SecretId, s.Generation, 2, t.ClientId, '${NIL_GUID}', t.FingerprintKeyId, t.Fingerprint,
      s.Form, s.DataKeyId, s.Content, s.StoredAt
    FROM MPE_TpmOwnerAuthSecrets s JOIN MPE_TpmOwnerAuths t ON t.SecretId = s.SecretId
    WHERE (s.SecretId, s.Generation) > (?1, ?2)
    ORDER BY 1, 2 LIMIT ?3) g`;

function fromRow(row: SqlRow): StoredSecret {
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
