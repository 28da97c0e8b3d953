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

/**
 * As fillSqlite, into an empty database.
 *
 * @param more statements that follow; where all keys are one chunk, they find them in BENCH_Keys
 */
export async function fillMssql(
  target: SqlServerTarget,
  keys: number,
  more: readonly string[] = [],
): Promise<void> {
  const connection = await openConnection({ ...target, requestTimeoutMs: STATEMENT_MS }, 1);
  try {
    await migrate(connection, loadMigrations(), systemClock().now());
    await createSite(connection, siteSeed());
    await connection.query(
      `INSERT INTO MPE_DataKeys (DataKeyId, CreatedAt, CreatedBy) VALUES ('${DATA_KEY}', '${sqlTime(T0)}', 'bench');`,
    );
    const rows = Math.min(keys, CHUNK);
    await connection.query(NUMBERS);
    for (let had = 1; had < rows; had *= 2) {
      await connection.query(
        `INSERT INTO BENCH_Numbers (n) SELECT n + ${had} FROM BENCH_Numbers WHERE n + ${had} < ${rows};`,
      );
    }
    for (let from = 0; from < keys; from += CHUNK) {
      const part = Math.min(CHUNK, keys - from);
      for (const sql of [...stage(keys, from, part), ...ROWS]) await connection.query(sql);
    }
    for (const sql of more) await connection.query(sql);
    // What a background job of the server does for a site that grows by itself.
    await connection.query('EXEC sp_updatestats;');
  } finally {
    await connection.close();
  }
}

const NUMBERS = `
  CREATE TABLE BENCH_Numbers (n bigint NOT NULL PRIMARY KEY);
  INSERT INTO BENCH_Numbers (n) VALUES (0);
  CREATE TABLE BENCH_Keys (i bigint NOT NULL PRIMARY KEY, KeyId varchar(36) NOT NULL, Prefix varchar(8) NOT NULL,
    StoredAt datetime2(3) NOT NULL);`;

/** A GUID whose last bytes are a number: a cast, where text would cost a hundred times as much. */
export const guid = (number: string): string =>
  `CAST(CAST(CAST(${number} AS bigint) AS binary(16)) AS uniqueidentifier)`;
/** The last eight digits of a number: style 2 of CONVERT, binary to text, is not known to Babelfish. */
const hex = (number: string): string => `LOWER(RIGHT(CONVERT(char(36), ${guid(number)}), 8))`;

/** What several tables of a chunk need, computed once. */
function stage(keys: number, from: number, part: number): readonly string[] {
  const prefix = hex(`(${prefixNumberSql(keys)}) * CAST(${stepOf(keys)} AS bigint)`);
  return [
    'TRUNCATE TABLE BENCH_Keys;',
    `INSERT INTO BENCH_Keys (i, KeyId, Prefix, StoredAt)
     SELECT p.i, p.Prefix + '-0000-4000-8000-0000' + ${hex('p.i')}, p.Prefix,
       DATEADD(second, CAST(p.i AS int), CAST('${sqlTime(T0)}' AS datetime2(3)))
     FROM (SELECT b.i, ${prefix} AS Prefix
           FROM (SELECT n + CAST(${from} AS bigint) AS i FROM BENCH_Numbers WHERE n < ${part}) b) p;`,
  ];
}

export const SECRET_ID = 'CAST(CAST(i AS binary(32)) AS varbinary(32))';
/** Numbers of volumes, clients and messages lie far apart, as their GUIDs must. */
export const VOLUME_ID = guid('i + 1000000000000');
export const CLIENT_ID = guid('i / 4 + 2000000000000');
const MESSAGE_ID = guid('i + 3000000000000');
export const AT = `CAST('${sqlTime(T0)}' AS datetime2(3))`;

/** The rows of the keys in BENCH_Keys. */
const ROWS: readonly string[] = [
  `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
   SELECT ${CLIENT_ID}, 'ACTIVE', 1, 'PC' + CAST(i AS varchar(20)), 'CORP', 'HW' + CAST(i / 4 + 1 AS varchar(20)), 'DOMAIN',
     'ring' + CAST((i / 4 + 1) % 4 + 1 AS varchar(20)), ${AT}
   FROM BENCH_Keys WHERE i % 4 = 0;`,
  `INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) SELECT ${VOLUME_ID}, ${AT} FROM BENCH_Keys;`,
  `INSERT INTO MPE_Keys (SecretId, Kind, KeyId, KeyIdPrefix, VolumeId, FingerprintKeyId, Fingerprint, FirstStoredAt)
   SELECT ${SECRET_ID}, 1, CAST(KeyId AS uniqueidentifier), Prefix, ${VOLUME_ID}, '${FINGERPRINTS.id}', ${SECRET_ID}, StoredAt
   FROM BENCH_Keys;`,
  `INSERT INTO MPE_KeySecrets (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
   SELECT ${SECRET_ID}, 1, 2, '${DATA_KEY}', 0x${'5c'.repeat(84)}, ${AT} FROM BENCH_Keys;`,
  `INSERT INTO MPE_KeyProofs (ClientId, SecretId, MessageId, Epoch, Sequence, ProvenAt)
   SELECT ${CLIENT_ID}, ${SECRET_ID}, ${MESSAGE_ID}, 1, i + 1, StoredAt FROM BENCH_Keys;`,
  `INSERT INTO MPE_Reports (ClientId, VolumeId, Epoch, Sequence, Digest, MessageId, VolumeType, DriveLabel, Protection, KeyIds, ReportedAt)
   SELECT ${CLIENT_ID}, ${VOLUME_ID}, 1, i + 1, ${SECRET_ID}, ${MESSAGE_ID}, 1, 'C:', 2, '["' + KeyId + '"]', StoredAt
   FROM BENCH_Keys;`,
];
