import type mssql from 'mssql';
import { loadMigrations } from '../../src/store/mssql/migrate.js';

/** Rows that the migrations write. */
const SEED = `INSERT INTO dbo.MPE_AuditHead (Id, Sequence, Hash) VALUES (1, 0, 0x${'00'.repeat(32)});`;

/**
 * Takes every row out of a site database of a test, past the triggers that keep tables from
 * shrinking, and puts the migrations' own rows back. The tables go in an order that foreign keys
 * allow, all in one transaction.
 *
 * @returns false where a test has changed the record of migrations: then it is no new database
 */
export async function emptySqlServer(pool: mssql.ConnectionPool): Promise<boolean> {
  const migrations = await pool
    .request()
    .query<{ Number: number; Digest: string }>(
      'SELECT Number, Digest FROM dbo.MPE_Migrations ORDER BY Number',
    );
  const known = loadMigrations().map(({ number, digest }) => `${number} ${digest}`);
  if (migrations.recordset.map((row) => `${row.Number} ${row.Digest}`).join() !== known.join()) return false;
  const tables = await tablesChildrenFirst(pool);
  const counted = await pool
    .request()
    .query<{ Name: string }>(
      tables
        .map((name) => `SELECT '${name}' AS Name WHERE EXISTS (SELECT 1 FROM dbo.${name})`)
        .join(' UNION ALL '),
    );
  const filled = tables.filter((table) => counted.recordset.some(({ Name }) => Name === table));
  const triggers = await pool
    .request()
    .query<{ Name: string; Parent: string }>(
      'SELECT name AS Name, LOWER(OBJECT_NAME(parent_id)) AS Parent FROM sys.triggers WHERE parent_id <> 0',
    );
  const switched = (word: 'DISABLE' | 'ENABLE'): string[] =>
    triggers.recordset
      .filter(({ Parent }) => filled.includes(Parent))
      .map(({ Name, Parent }) => `${word} TRIGGER dbo.${Name} ON dbo.${Parent};`);
  const deletes = filled.map((table) => `DELETE FROM dbo.${table};`);
  const batch = [
    'BEGIN TRANSACTION;',
    ...switched('DISABLE'),
    ...deletes,
    SEED,
    ...switched('ENABLE'),
    'COMMIT;',
  ];
  await pool.request().batch(batch.join('\n'));
  return true;
}

/** Tables of the site, each before those that it refers to; without the record of migrations. */
async function tablesChildrenFirst(pool: mssql.ConnectionPool): Promise<string[]> {
  const tables = await pool
    .request()
    .query<{ Name: string }>("SELECT LOWER(name) AS Name FROM sys.tables WHERE name LIKE 'MPE[_]%'");
  const keys = await pool.request().query<{ Child: string; Parent: string }>(
    `SELECT DISTINCT LOWER(OBJECT_NAME(parent_object_id)) AS Child,
       LOWER(OBJECT_NAME(referenced_object_id)) AS Parent
     FROM sys.foreign_keys WHERE parent_object_id <> referenced_object_id`,
  );
  let open = tables.recordset.map((row) => row.Name).filter((name) => name !== 'mpe_migrations');
  const order: string[] = [];
  while (open.length > 0) {
    const free = open.filter(
      (name) => !keys.recordset.some(({ Child, Parent }) => Parent === name && open.includes(Child)),
    );
    if (free.length === 0) throw new Error('foreign keys go in a circle');
    order.push(...free);
    open = open.filter((name) => !free.includes(name));
  }
  return order;
}
