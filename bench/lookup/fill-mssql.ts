import { FINGERPRINTS, siteSeed, T0 } from '../../test/store/world.js';
import { systemClock } from '../../src/ops/clock.js';
import type { SqlServerTarget } from '../../src/config/index.js';
import { createSite } from '../../src/store/mssql/create-site.js';
import { loadMigrations, migrate } from '../../src/store/mssql/migrate.js';
import { openConnection } from '../../src/store/mssql/open-connection.js';
import { sqlTime } from '../../src/store/mssql/parameters.js';
import { CHUNK, prefixNumberSql, stepOf } from './plan.js';

const DATA_KEY = '55550000-0000-4000-8000-000000000005';
/** A statement of a chunk on a slow machine. */
const STATEMENT_MS = 10 * 60_000;

/** As fillSqlite, into an empty database. */
export async function fillMssql(target: SqlServerTarget, keys: number): Promise<void> {
  const connection = await openConnection({ ...target, requestTimeoutMs: STATEMENT_MS }, 1);
  try {
    await migrate(connection, loadMigrations(), systemClock().now());
    await createSite(connection, siteSeed());
    await connection.query(
      `INSERT INTO MPE_DataKeys (DataKeyId, CreatedAt, CreatedBy) VALUES ('${DATA_KEY}', '${sqlTime(T0)}', 'bench');`,
    );
    await connection.query(`
      CREATE TABLE BENCH_Digits (d int NOT NULL PRIMARY KEY);
      INSERT INTO BENCH_Digits (d) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
      CREATE TABLE BENCH_Numbers (i bigint NOT NULL PRIMARY KEY);`);
    for (let from = 0; from < keys; from += CHUNK) {
      await connection.query(`
        DELETE FROM BENCH_Numbers;
        INSERT INTO BENCH_Numbers (i) SELECT i FROM (
          SELECT CAST(${from} AS bigint) + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d AS i
          FROM BENCH_Digits a, BENCH_Digits b, BENCH_Digits c, BENCH_Digits e, BENCH_Digits f, BENCH_Digits g) n
        WHERE i < ${Math.min(from + CHUNK, keys)};`);
      for (const sql of statements(keys)) await connection.query(sql);
    }
    await connection.query('UPDATE STATISTICS MPE_Keys;').catch(() => undefined);
  } finally {
    await connection.close();
  }
}

function statements(keys: number): readonly string[] {
  const hex = (number: string): string =>
    `LOWER(CONVERT(varchar(8), CAST(CAST(${number} AS bigint) AS binary(4)), 2))`;
  const guid = (first: string, rest: string): string => `CAST(${first} + '${rest}' AS uniqueidentifier)`;
  const prefix = hex(`(${prefixNumberSql(keys)}) * CAST(${stepOf(keys)} AS bigint)`);
  const keyId = `CAST(${prefix} + '-0000-4000-8000-0000' + ${hex('i')} AS uniqueidentifier)`;
  const volumeId = guid(hex('i'), '-0000-4000-9000-000000000000');
  const clientId = guid(hex('i / 4 + 1'), '-0000-4000-a000-000000000000');
  const messageId = guid(hex('i'), '-0000-4000-b000-000000000000');
  const secretId = `CONVERT(varbinary(32), '${'0'.repeat(56)}' + ${hex('i')}, 2)`;
  const at = `CAST('${sqlTime(T0)}' AS datetime2(3))`;
  const later = `DATEADD(second, CAST(i AS int), ${at})`;
  return [
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
     SELECT ${clientId}, 'ACTIVE', 1, 'PC' + CAST(i AS varchar(20)), 'CORP', '', 'DOMAIN', '', ${at} FROM BENCH_Numbers WHERE i % 4 = 0;`,
    `INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) SELECT ${volumeId}, ${at} FROM BENCH_Numbers;`,
    `INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint, FirstStoredAt)
     SELECT ${secretId}, 1, ${keyId}, ${prefix}, ${volumeId}, '${FINGERPRINTS.id}', ${secretId}, ${later} FROM BENCH_Numbers;`,
    `INSERT INTO MPE_KeySecrets (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
     SELECT ${secretId}, 1, 2, '${DATA_KEY}', CONVERT(varbinary(max), REPLICATE('5c', 84), 2), ${at} FROM BENCH_Numbers;`,
    `INSERT INTO MPE_KeyProofs (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
     SELECT ${clientId}, ${secretId}, ${messageId}, 1, i + 1, ${later} FROM BENCH_Numbers;`,
    `INSERT INTO MPE_Reports (ClientId, VolumeId, Epoch, Sequence, Digest, MessageId, VolumeType, DriveLabel, Protection, KeyIds, ReportedAt)
     SELECT ${clientId}, ${volumeId}, 1, i + 1, ${secretId}, ${messageId}, 1, 'C:', 2,
       '["' + ${prefix} + '-0000-4000-8000-0000' + ${hex('i')} + '"]', ${later} FROM BENCH_Numbers;`,
  ];
}
