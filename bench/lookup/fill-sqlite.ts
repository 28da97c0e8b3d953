import { FINGERPRINTS, siteSeed, T0 } from '../../test/store/world.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { createSite } from '../../src/store/sqlite/create-site.js';
import { loadMigrations, migrate } from '../../src/store/sqlite/migrate.js';
import { CHUNK, prefixNumberSql, stepOf } from './plan.js';

const DATA_KEY = '55550000-0000-4000-8000-000000000005';

/** Fills a new file: as many keys, each with a volume, a secret, a proof and a report; four a client. */
export function fillSqlite(path: string, keys: number): void {
  const connection = Connection.open(path, { readOnly: false });
  try {
    migrate(connection, loadMigrations(), T0);
    createSite(connection, siteSeed());
    // A file that is thrown away needs no fsync; the settings end with this connection.
    connection.db.pragma('synchronous = OFF');
    connection.db.pragma('cache_size = -400000');
    connection.run(
      `INSERT INTO MPE_DataKeys (DataKeyId, CreatedAt, CreatedBy) VALUES (?, ${T0}, 'bench')`,
      DATA_KEY,
    );
    for (let from = 0; from < keys; from += CHUNK) {
      connection.immediate(() => {
        for (const sql of statements(keys, from, Math.min(from + CHUNK, keys))) connection.db.exec(sql);
      });
    }
    connection.db.exec('ANALYZE');
    connection.db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    connection.close();
  }
}

function statements(keys: number, from: number, to: number): readonly string[] {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${to})`;
  const prefix = `printf('%08x', (${prefixNumberSql(keys)}) * ${stepOf(keys)})`;
  const keyId = `${prefix} || printf('-0000-4000-8000-%012x', i)`;
  const volumeId = "printf('%08x-0000-4000-9000-000000000000', i)";
  const clientId = "printf('%08x-0000-4000-a000-000000000000', i / 4 + 1)";
  const messageId = "printf('%08x-0000-4000-b000-000000000000', i)";
  const secretId = "unhex(printf('%064x', i))";
  return [
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
     ${numbers} SELECT ${clientId}, 'ACTIVE', 1, 'PC' || i, 'CORP', '', 'DOMAIN', '', ${T0} FROM n WHERE i % 4 = 0`,
    `INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) ${numbers} SELECT ${volumeId}, ${T0} FROM n`,
    `INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint, FirstStoredAt)
     ${numbers} SELECT ${secretId}, 1, ${keyId}, ${prefix}, ${volumeId}, '${FINGERPRINTS.id}', ${secretId}, ${T0} + i FROM n`,
    `INSERT INTO MPE_KeySecrets (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
     ${numbers} SELECT ${secretId}, 1, 2, '${DATA_KEY}', randomblob(84), ${T0} FROM n`,
    `INSERT INTO MPE_KeyProofs (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
     ${numbers} SELECT ${clientId}, ${secretId}, ${messageId}, 1, i + 1, ${T0} + i FROM n`,
    `INSERT INTO MPE_Reports (ClientId, VolumeId, Epoch, Sequence, Digest, MessageId, VolumeType, DriveLabel, Protection, KeyIds, ReportedAt)
     ${numbers} SELECT ${clientId}, ${volumeId}, 1, i + 1, ${secretId}, ${messageId}, 1, 'C:', 2,
       json_array(${keyId}), ${T0} + i FROM n`,
  ];
}
