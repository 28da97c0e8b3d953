import { NIL_GUID } from '../../protocol/guid.js';
import type { HashLine } from '../site-store.js';
import { bigInteger, bytes, guid, integer, json } from './columns.js';
import type { Connection } from './connection.js';
import type { SqlRow } from './session.js';

/**
 * The lines of the site hash, byte for byte those of SQLite (src/store/sqlite/hash-lines.ts says
 * what is in them), sorted by the bytes of their text.
 *
 * The server sorts, this file writes the text. GUIDs are sorted as text in upper or lower case: both
 * orders are that of the lower-case bytes, as digits come before letters and hyphens stand at the
 * same places, in every collation; never as uniqueidentifier, which SQL Server orders by its last
 * bytes. A fingerprint's binary order is that of its hex.
 */
const SOURCES: readonly {
  readonly table: HashLine['table'];
  readonly sql: string;
  readonly columns: (row: SqlRow) => string[];
}[] = [
  {
    table: 'clients',
    sql: 'SELECT ClientId, Epoch FROM MPE_Clients ORDER BY CONVERT(char(36), ClientId)',
    columns: (row) => [guid(row, 'ClientId'), String(integer(row, 'Epoch'))],
  },
  {
    table: 'keys',
    sql: `
      SELECT Kind, KeyId, VolumeId, FingerprintKeyId, Fingerprint FROM (
        SELECT Kind, KeyId, VolumeId, FingerprintKeyId, Fingerprint FROM MPE_Keys
        UNION ALL
        SELECT 3, ClientId, CONVERT(uniqueidentifier, '${NIL_GUID}'), FingerprintKeyId, Fingerprint
        FROM MPE_TpmOwnerAuths) k
      ORDER BY Kind, CONVERT(char(36), KeyId), CONVERT(char(36), VolumeId), CONVERT(char(36), FingerprintKeyId),
        Fingerprint`,
    columns: keyColumns,
  },
  {
    table: 'proofs',
    sql: `
      SELECT ClientId, Kind, KeyId, VolumeId, FingerprintKeyId, Fingerprint FROM (
        SELECT p.ClientId, k.Kind, k.KeyId, k.VolumeId, k.FingerprintKeyId, k.Fingerprint
        FROM MPE_KeyProofs p JOIN MPE_Keys k ON k.SecretId = p.SecretId
        UNION ALL
        SELECT p.ClientId, 3, t.ClientId, CONVERT(uniqueidentifier, '${NIL_GUID}'), t.FingerprintKeyId, t.Fingerprint
        FROM MPE_TpmOwnerAuthProofs p JOIN MPE_TpmOwnerAuths t ON t.SecretId = p.SecretId) k
      ORDER BY CONVERT(char(36), ClientId), Kind, CONVERT(char(36), KeyId), CONVERT(char(36), VolumeId),
        CONVERT(char(36), FingerprintKeyId), Fingerprint`,
    columns: (row) => [guid(row, 'ClientId'), ...keyColumns(row)],
  },
  {
    table: 'reports',
    sql: `
      SELECT ClientId, VolumeId, VolumeType, Epoch, Sequence, Digest, KeyIds FROM MPE_Reports
      ORDER BY CONVERT(char(36), ClientId), CONVERT(char(36), VolumeId)`,
    columns: (row) => [
      guid(row, 'ClientId'),
      guid(row, 'VolumeId'),
      String(integer(row, 'VolumeType')),
      String(integer(row, 'Epoch')),
      bigInteger(row, 'Sequence').toString(),
      bytes(row, 'Digest').toString('hex'),
      json<string[]>(row, 'KeyIds').sort().join(','),
    ],
  },
];

function keyColumns(row: SqlRow): string[] {
  return [
    String(integer(row, 'Kind')),
    guid(row, 'KeyId'),
    guid(row, 'VolumeId'),
    guid(row, 'FingerprintKeyId'),
    bytes(row, 'Fingerprint').toString('hex'),
  ];
}

/**
 * Streams the lines, sorted by table and columns.
 *
 * Not one state of the database: four statements under READ COMMITTED, which a transaction around
 * them would not change. While workers write, a proof may show whose key does not, and with locking
 * a single statement may also miss what moves before it. So a hash is meant for comparing when the
 * workers are quiet; SQLite's has a snapshot.
 */
export async function* hashLines(connection: Connection): AsyncGenerator<HashLine> {
  for (const { table, sql, columns } of SOURCES) {
    for await (const row of connection.stream(sql)) yield { table, columns: columns(row) };
  }
}
