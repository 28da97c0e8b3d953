import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Connection } from '../../src/store/sqlite/connection.js';
import { checkSchema, loadMigrations, migrate } from '../../src/store/sqlite/migrate.js';
import { tempFolder } from '../support/temp.js';
import { T0 } from './world.js';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'src', 'store', 'sqlite', 'migrations');

/** A folder with numbered files, and a connection to an empty database. */
function fixture(...texts: string[]): { folder: string; connection: Connection } {
  const folder = tempFolder('mpe-migrations-');
  texts.forEach((text, i) => writeFileSync(join(folder, `${String(i + 1).padStart(6, '0')}.sql`), text));
  return { folder, connection: Connection.open(join(folder, 'site.db'), { readOnly: false }) };
}

const tables = (connection: Connection): unknown[] =>
  connection
    .all("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .map((row) => row['name']);

describe('migrations', () => {
  it('are read in order, with their breaking mark, and a digest that line ends do not change', () => {
    const { folder, connection } = fixture('CREATE TABLE a (x);\n', '--! breaking\nCREATE TABLE b (x);\n');
    const [first, second] = loadMigrations(folder);
    expect(first).toMatchObject({ number: 1, breaking: false });
    expect(second).toMatchObject({ number: 2, breaking: true });
    writeFileSync(join(folder, '000001.sql'), 'CREATE TABLE a (x);\r\n');
    expect(loadMigrations(folder)[0]?.digest).toBe(first?.digest);
    connection.close();
  });

  it('must be numbered without a gap', () => {
    const { folder, connection } = fixture('SELECT 1;');
    writeFileSync(join(folder, '000003.sql'), 'SELECT 1;');
    expect(() => loadMigrations(folder)).toThrow('migration 2 is missing');
    connection.close();
  });

  it('are applied once, and only the missing ones', () => {
    const { folder, connection } = fixture('CREATE TABLE a (x);');
    migrate(connection, loadMigrations(folder), T0);
    migrate(connection, loadMigrations(folder), T0);
    writeFileSync(join(folder, '000002.sql'), 'CREATE TABLE b (x);');
    migrate(connection, loadMigrations(folder), T0 + 1);
    expect(tables(connection)).toEqual(['MPE_Migrations', 'a', 'b']);
    expect(checkSchema(connection, loadMigrations(folder))).toBe(2);
    connection.close();
  });

  it('leave nothing behind where one of them fails', () => {
    const { folder, connection } = fixture(
      'CREATE TABLE a (x);',
      'CREATE TABLE b (x); INSERT INTO missing VALUES (1);',
    );
    expect(() => migrate(connection, loadMigrations(folder), T0)).toThrow('missing');
    expect(tables(connection)).toEqual([]);
    writeFileSync(join(folder, '000002.sql'), 'CREATE TABLE b (x);');
    migrate(connection, loadMigrations(folder), T0);
    expect(tables(connection)).toEqual(['MPE_Migrations', 'a', 'b']);
    connection.close();
  });
});

describe('schema', () => {
  const sql = readFileSync(join(MIGRATIONS, '000001.sql'), 'utf8');
  const { connection } = fixture();
  migrate(connection, loadMigrations(), T0);

  it('guards every table that calls itself append-only', () => {
    // The comment block right above a CREATE TABLE belongs to it.
    const marked = [...sql.matchAll(/((?:^--.*\n)+)CREATE TABLE (\w+)/gm)]
      .filter(([, comment]) => comment!.includes('Append-only'))
      .map(([, , table]) => table!);
    expect(marked.length).toBeGreaterThan(15);
    const triggers = new Set(
      connection.all("SELECT name FROM sqlite_schema WHERE type = 'trigger'").map((row) => row['name']),
    );
    for (const table of marked) {
      expect(triggers, table).toContain(`${table}_NoUpdate`);
      expect(triggers, table).toContain(`${table}_NoDelete`);
    }
  });

  it('makes every table strict, so that a value of a wrong type is refused', () => {
    const loose = connection.all(
      "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite%'",
    );
    expect(loose).toEqual([]);
  });

  it('has an index for every lookup of the commit (of data keys it asks only whether there is one)', () => {
    const plan = (query: string): string =>
      connection
        .all(`EXPLAIN QUERY PLAN ${query}`)
        .map((row) => String(row['detail']))
        .join('; ');
    for (const query of [
      "SELECT 1 FROM MPE_HealthySecrets WHERE SecretId = X'00'",
      "SELECT 1 FROM MPE_Outcomes WHERE ClientId = 'a' AND Epoch = 1 AND Sequence = 2",
      "SELECT 1 FROM MPE_Outcomes WHERE MessageId = 'a'",
      'SELECT rowid FROM MPE_Outcomes WHERE DecidedAt < 5 ORDER BY DecidedAt LIMIT 10',
      "SELECT 1 FROM MPE_Keys WHERE KeyIdPrefix = '8637036e'",
      "SELECT 1 FROM MPE_KeyProofs WHERE SecretId = X'00'",
      "SELECT 1 FROM MPE_Reports WHERE VolumeId = 'a'",
      "SELECT 1 FROM MPE_DeadLetters WHERE MessageId = 'a'",
    ]) {
      expect(plan(query), query).not.toMatch(/SCAN (?!MPE_DataKeys)/);
    }
  });

  it('does not lose rows of append-only tables to INSERT OR REPLACE', () => {
    connection.run(
      "INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) VALUES ('70100000-0000-4000-8000-000000000001', 1)",
    );
    expect(() =>
      connection.run(
        "INSERT OR REPLACE INTO MPE_Volumes (VolumeId, FirstSeenAt) VALUES ('70100000-0000-4000-8000-000000000001', 2)",
      ),
    ).toThrow('append-only');
  });
});
