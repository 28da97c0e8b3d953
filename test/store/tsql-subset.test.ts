import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { splitBatches } from '../../src/store/mssql/batches.js';
import { MACHINES_OF_USERS } from '../../src/store/mssql/search/search-keys.js';
import { BINDING_RULES, collationMeetings, otherSpellings, spellings } from '../support/tsql-binding.js';
import {
  broken,
  codeOf,
  driverNames,
  parse,
  QUERY_RULES,
  sqlTexts,
  triggerTables,
  TSQL_RULES,
  type TriggerTables,
} from '../support/tsql-rules.js';

// SQL Server is where the store runs in production, Babelfish is where it is tested. Whatever one of
// them does not take, or does differently, must not get in. This test needs no server.

const FOLDER = join(import.meta.dirname, '..', '..', 'src', 'store', 'mssql');
const files = (ending: string): string[] =>
  readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(FOLDER, name))
    .sort();
const SQL_FILES = files('.sql');
const TS_FILES = files('.ts');
const TRIGGERS = triggerTables(SQL_FILES.map((file) => readFileSync(file, 'utf8')).join('\n'));
const NO_TRIGGERS: TriggerTables = { INSERT: new Set(), DELETE: new Set() };
/** Statements that an error shows to an administrator, who runs them on SQL Server. */
const FOR_PEOPLE: readonly (readonly [string, RegExp])[] = [
  ['durability.ts', /^ALTER DATABASE inserted SET DELAYED_DURABILITY = DISABLED;$/],
];
/** Names of users and domains have the collation of the database, which is that of OPENJSON. */
const SEARCH = join('search', 'search-keys.ts');
const MEETINGS_OF_SEARCH = ['U.NAME = J.NAME', 'U.DOMAIN = J.DOMAIN'];
const forPeople = (file: string, sql: string): boolean =>
  FOR_PEOPLE.some(([name, text]) => name === named(file) && text.test(sql));
const named = (file: string): string => relative(FOLDER, file);

describe('the SQL Server store stays inside what SQL Server and Babelfish share', () => {
  it.each(SQL_FILES.map((file) => [named(file), file]))('%s', (_, file) => {
    const text = readFileSync(file, 'utf8');
    for (const batch of splitBatches(text))
      expect(broken(batch, [...TSQL_RULES, ...BINDING_RULES], TRIGGERS), batch).toEqual([]);
  });

  it.each(TS_FILES.map((file) => [named(file), file]))('%s', (_, file) => {
    const source = parse(file, readFileSync(file, 'utf8'));
    for (const { line, sql } of sqlTexts(source)) {
      if (forPeople(file, sql)) continue;
      const rules = [...TSQL_RULES, ...QUERY_RULES, ...BINDING_RULES];
      expect(broken(sql, rules, TRIGGERS), `line ${line}: ${sql}`).toEqual([]);
    }
    const meetings = collationMeetings(sqlTexts(source).map(({ sql }) => sql));
    expect(meetings).toEqual(named(file) === SEARCH ? MEETINGS_OF_SEARCH : []);
    expect(driverNames(source)).toEqual([]);
  });

  it('looks at something', () => {
    expect(SQL_FILES.length).toBeGreaterThan(0);
    const texts = TS_FILES.flatMap((file) => sqlTexts(parse(file, readFileSync(file, 'utf8'))));
    expect(texts.length).toBeGreaterThan(20);
    expect(TRIGGERS.INSERT).toEqual(new Set(['MPE_KEYSECRETS', 'MPE_TPMOWNERAUTHSECRETS']));
    expect(TRIGGERS.DELETE.size).toBeGreaterThan(15);
  });
});

describe('names', () => {
  const names = spellings(SQL_FILES.map((file) => readFileSync(file, 'utf8')).join('\n'));

  it('are spelt as the schema spells them: a case-sensitive database knows no others', () => {
    expect(names.size).toBeGreaterThan(150);
    expect(otherSpellings('SELECT ClientID FROM MPE_outcomes -- Kid', names)).toEqual([
      'ClientID',
      'MPE_outcomes',
    ]);
    for (const file of TS_FILES)
      for (const { line, sql } of sqlTexts(parse(file, readFileSync(file, 'utf8'))))
        expect(otherSpellings(sql, names), `${named(file)}, line ${line}`).toEqual([]);
    for (const file of SQL_FILES)
      expect(otherSpellings(readFileSync(file, 'utf8'), names), named(file)).toEqual([]);
  });
});

describe('names of users', () => {
  it('are compared letter by letter as well: what a collation calls the same may be two people', () => {
    for (const column of ['Name', 'Domain'])
      expect(MACHINES_OF_USERS).toContain(
        `u.${column} = j.${column} AND LOWER(u.${column}) COLLATE Latin1_General_BIN2 = LOWER(j.${column}) COLLATE Latin1_General_BIN2`,
      );
  });
});

describe('every file of batches', () => {
  it.each(SQL_FILES.map((file) => [named(file), file]))(
    '%s has GO nowhere but between batches',
    (_, file) => {
      const text = readFileSync(file, 'utf8');
      const lines = (sql: string): number => [...sql.matchAll(/^[ \t]*GO[ \t]*$/gim)].length;
      // A GO inside a comment is gone from the code, one inside a text as well.
      expect(lines(codeOf(text))).toBe(lines(text));
      expect(text).not.toContain('\r');
    },
  );

  it.each(SQL_FILES.map((file) => [named(file), file]))(
    '%s starts what must start a batch with one',
    (_, file) => {
      for (const batch of splitBatches(readFileSync(file, 'utf8'))) {
        const code = codeOf(batch).trim();
        if (/\bCREATE\s+(VIEW|TRIGGER|PROCEDURE|FUNCTION)\b/.test(code)) {
          expect(code).toMatch(/^CREATE\s+(VIEW|TRIGGER|PROCEDURE|FUNCTION)\b/);
        }
      }
    },
  );
});

describe('batches', () => {
  it('are split at lines of GO alone, in any case, and comments alone are no batch', () => {
    const sql =
      "-- one\nSELECT 1;\ngo\n-- a comment alone\nGO\n  GO  \nSELECT N'ago', 2; -- GO on\nSELECT GOOD;\nGO";
    expect(splitBatches(sql)).toEqual(['-- one\nSELECT 1;\n', "SELECT N'ago', 2; -- GO on\nSELECT GOOD;\n"]);
  });
});

/** One bad text a rule: the rule must see it, whatever the case. */
const BAD: readonly (readonly [string, string])[] = [
  ['MERGE', 'MERGE INTO MPE_Keys AS t USING (SELECT 1 AS x) s ON 1 = 1 WHEN MATCHED THEN DELETE;'],
  ['MERGE', 'merge MPE_Keys as t using s on t.Id = s.Id when matched then delete;'],
  ['CREATE OR ALTER', 'CREATE OR ALTER VIEW v AS SELECT 1 AS x;'],
  ['inline index', 'CREATE TABLE t (a int NOT NULL, INDEX IX_t_a (a));'],
  ['inline index', 'CREATE TABLE t (a int NOT NULL INDEX IX_t_a NONCLUSTERED);'],
  ['change through a CTE', 'WITH c AS (SELECT TOP (1) * FROM t ORDER BY a) DELETE FROM c;'],
  ['change through a CTE', 'WITH c AS (SELECT * FROM t) UPDATE c SET a = 1;'],
  ['TOP WITH TIES', 'SELECT TOP (1) WITH TIES a FROM t ORDER BY a;'],
  ['WAITFOR', "WAITFOR DELAY '00:00:01';"],
  ['ALTER DATABASE', 'ALTER DATABASE CURRENT SET DELAYED_DURABILITY = DISABLED;'],
  ['temporal or ledger table', 'CREATE TABLE t (a int) WITH (SYSTEM_VERSIONING = ON);'],
  ['temporal or ledger table', 'CREATE TABLE t (a int) WITH (LEDGER = ON);'],
  ['row-level security', 'CREATE SECURITY POLICY p ADD FILTER PREDICATE f(a) ON t;'],
  ['DENY', 'DENY SELECT ON t TO r;'],
  ['GRANT ON TYPE', 'GRANT EXECUTE ON TYPE::dbo.MPE_Rows TO r;'],
  ['EXECUTE AS', 'CREATE PROCEDURE p WITH EXECUTE AS OWNER AS SELECT 1;'],
  ['keys and certificates', "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'x';"],
  ['keys and certificates', "CREATE CERTIFICATE c WITH SUBJECT = 'x';"],
  ['keys and certificates', 'OPEN SYMMETRIC KEY k DECRYPTION BY CERTIFICATE c;'],
  ['cryptography', "SELECT ENCRYPTBYCERT(CERT_ID('c'), a) FROM t;"],
  ['cryptography', 'SELECT DecryptByKey(a) FROM t;'],
  ['CRYPT_GEN_RANDOM', 'SELECT CRYPT_GEN_RANDOM(16);'],
  ['COMPRESS', 'SELECT COMPRESS(a) FROM t;'],
  ['global temporary table', 'CREATE TABLE ##t (a int);'],
  ['UTF-8 collation', 'CREATE TABLE t (a varchar(9) COLLATE Latin1_General_100_CI_AS_SC_UTF8);'],
  ['ALTER COLUMN NULL', 'ALTER TABLE t ALTER COLUMN a int NULL;'],
  ['synonym', 'CREATE SYNONYM s FOR t;'],
  ['rowversion', 'CREATE TABLE t (v rowversion);'],
  ['isolation level', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;'],
  ['isolation level', 'SELECT a FROM t WITH (REPEATABLEREAD);'],
  ['lock hint', 'SELECT a FROM t WITH (UPDLOCK, HOLDLOCK) WHERE a = 1;'],
  ['lock hint', 'SELECT a FROM t (nolock);'],
  ['table-valued parameter', 'CREATE TYPE dbo.MPE_Rows AS TABLE (a int);'],
  ['table-valued parameter', 'CREATE PROCEDURE p @rows dbo.MPE_Rows READONLY AS SELECT 1;'],
  ['count of rows', 'UPDATE t SET a = 1; SELECT @@ROWCOUNT AS n;'],
  ['OUTPUT of an UPDATE', 'UPDATE t SET a = 1 OUTPUT deleted.a WHERE b = 2;'],
  ['OUTPUT of an UPDATE', 'UPDATE dbo.t SET a = 1 OUTPUT inserted.a INTO @x WHERE b = 2;'],
  ['SET of an option', 'SET NOCOUNT ON; SELECT 1;'],
  ['SET of an option', 'SELECT 1;\nSET LOCK_TIMEOUT 100;'],
  ['date style 112 or 126', 'SELECT CONVERT(varchar(30), a, 126) FROM t;'],
  ['date style 112 or 126', 'SELECT CONVERT(char(8), COALESCE(a, b), 112) FROM t;'],
  ['sum of binaries', 'SELECT 0x01 + a FROM t;'],
  ['sum of binaries', 'SELECT CONVERT(varbinary(8), a) + CONVERT(varbinary(8), b) FROM t;'],
  [
    'base64 inside the server',
    "SELECT CAST('' AS xml).value('xs:base64Binary(\"YQ==\")', 'varbinary(max)'), xs:base64Binary(a);",
  ],
  ['newer than SQL Server 2019', 'SELECT GREATEST(a, b) FROM t;'],
  ['newer than SQL Server 2019', 'SELECT 1 FROM t WHERE a IS NOT DISTINCT FROM b;'],
  ['SQLite', 'INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING;'],
  ['SQLite', 'SELECT a FROM t LIMIT 1;'],
];

describe('the rules', () => {
  it.each(BAD)('see %s: %s', (name, sql) => {
    expect(broken(sql, TSQL_RULES, NO_TRIGGERS)).toContain(name);
  });

  it('each have a sample that they see', () => {
    const shown = new Set(BAD.map(([name]) => name));
    const others = TSQL_RULES.map((rule) => rule.name).filter((name) => !shown.has(name));
    expect(others).toEqual(['OUTPUT on a table with a trigger for the action (334)']);
  });

  it('see OUTPUT where a trigger of the same action makes SQL Server refuse it', () => {
    const rule = 'OUTPUT on a table with a trigger for the action (334)';
    const tables = triggerTables(`CREATE TRIGGER dbo.x ON dbo.A AFTER INSERT AS SELECT 1;
GO
CREATE TRIGGER y ON B AFTER UPDATE, DELETE AS SELECT 1;`);
    const see = (sql: string): boolean => broken(sql, TSQL_RULES, tables).includes(rule);
    expect(see('INSERT INTO dbo.A (x) OUTPUT inserted.x VALUES (1);')).toBe(true);
    expect(see('INSERT INTO A (x) OUTPUT inserted.x INTO @t (x) VALUES (1);')).toBe(false);
    expect(see('INSERT INTO B (x) OUTPUT inserted.x VALUES (1);')).toBe(false);
    expect(see('DELETE FROM B OUTPUT deleted.x WHERE y = 1;')).toBe(true);
    expect(see('DELETE FROM A OUTPUT deleted.x WHERE y = 1;')).toBe(false);
  });

  it.each([
    ['SELECT SUM(CASE WHEN EXISTS (SELECT 1 FROM u WHERE u.a = t.a) THEN 1 ELSE 0 END) FROM t;', '130'],
    ['SELECT (SELECT MAX(CASE WHEN p.a > k.a THEN p.a ELSE k.a END) FROM p WHERE p.b = k.b) FROM k;', '8124'],
    ['SELECT (SELECT MAX(p.a + k.a) FROM dbo.MPE_P AS p) FROM k;', '8124'],
    ['SELECT (SELECT MAX(k.a) FROM p WHERE p.b = k.b), MAX(k.a + k.b) FROM k;', null],
    ['SELECT (SELECT MAX(t.a) FROM (SELECT k.a AS a UNION ALL SELECT p.a FROM p) t) FROM k;', null],
    [
      'SELECT r.a, SUM(CASE WHEN m.a >= r.a THEN 1 ELSE 0 END) FROM r JOIN m ON m.b = r.b GROUP BY r.a;',
      null,
    ],
    ['SELECT COUNT(DISTINCT p.a), (SELECT COUNT(*) FROM p) FROM p;', null],
  ])('see an aggregate that SQL Server does not bind: %s', (sql, number) => {
    const found = broken(sql, BINDING_RULES, NO_TRIGGERS).map((name) => /\((\d+)\)$/.exec(name)?.[1]);
    expect(found).toEqual(number === null ? [] : [number]);
  });

  it('see text out of OPENJSON that meets a column in another collation', () => {
    const shape =
      "OPENJSON(@j) WITH (Id int '$.Id', Word varchar(64) '$.Word', Set nvarchar(max) '$.Set' AS JSON) j";
    const see = (...texts: string[]): string[] => collationMeetings([shape, ...texts]);
    expect(
      see('UPDATE t SET Word = j.Word FROM t JOIN inserted ON t.Id = j.Id WHERE t.Word = j.Word'),
    ).toEqual(['T.WORD = J.WORD']);
    expect(see('SELECT 1 FROM t JOIN inserted ON j.Word = t.Word')).toEqual(['J.WORD = T.WORD']);
    expect(see('UPDATE t SET Word = CASE WHEN t.Id = 1 THEN j.Word ELSE t.Word END')).toEqual([
      'THEN J.WORD',
    ]);
    expect(see('SELECT 1 FROM t WHERE Word IN (SELECT j.Word FROM inserted)')).toEqual([
      'IN ( SELECT J.WORD'.replace('( ', '('),
    ]);
    expect(see('SELECT COALESCE(t.Word, j.Word) FROM t')).toEqual(['COALESCE(T.WORD, J.WORD']);
    const fine = [
      'INSERT INTO t (Id, Word) SELECT j.Id, j.Word FROM inserted',
      'SELECT 1 FROM t JOIN inserted ON t.Word = j.Word COLLATE Latin1_General_BIN2',
      'SELECT 1 FROM t JOIN inserted ON j.Word COLLATE Latin1_General_BIN2 = t.Word',
      'UPDATE t SET Word = j.Word, Id = j.Id FROM t JOIN inserted ON t.Id = j.Id',
      "SELECT 1 FROM inserted WHERE j.Word = '' AND j.Word <> @word",
    ];
    for (const sql of fine) expect(see(sql), sql).toEqual([]);
  });

  it('see GO in a query', () => {
    expect(broken('SELECT 1;\nGO\nSELECT 2;', QUERY_RULES, NO_TRIGGERS)).toEqual(['GO']);
  });

  it.each([
    "SELECT 'MERGE INTO x USING y, WAITFOR, ##t' AS text; -- NOLOCK and @@ROWCOUNT",
    '/* UPDLOCK /* nested */ COMPRESS( */ SELECT 1;',
    'UPDATE t SET a = @a, b = b + 1 WHERE c = 1;',
    'DECLARE @n int; SET @n = 1; SELECT @n AS n;',
    'SELECT TOP (1) a FROM t ORDER BY a OFFSET 0 ROWS FETCH NEXT 1 ROWS ONLY;',
    'WITH c AS (SELECT a FROM t) INSERT INTO u (a) SELECT a FROM c;',
    'ALTER TABLE t ALTER COLUMN a int NOT NULL;',
    'CREATE TRIGGER x ON t AFTER UPDATE, DELETE AS SELECT 1;',
    'SELECT CONVERT(varbinary(max), a, 2), CONVERT(varchar(64), b, 2) FROM OPENJSON(@json) WITH (a varchar(64), b varchar(64));',
  ])('leave alone: %s', (sql) => {
    expect(broken(sql, TSQL_RULES, NO_TRIGGERS)).toEqual([]);
  });

  it('find SQL in the literals of a program, with what is inserted as a name', () => {
    const source = parse(
      'x.ts',
      "const a = `SELECT x FROM ${table} WITH (NOLOCK)`;\nconst b = 'UPDATE t SET a = 1';\nconst c = 'no query';\nresult.rowsAffected;\nnew sql.PreparedStatement(); sql.Table;",
    );
    expect(sqlTexts(source)).toEqual([
      { line: 1, sql: 'SELECT x FROM inserted WITH (NOLOCK)' },
      { line: 2, sql: 'UPDATE t SET a = 1' },
    ]);
    expect(driverNames(source)).toEqual(['4: rowsAffected', '5: PreparedStatement', '5: sql.Table']);
  });
});
