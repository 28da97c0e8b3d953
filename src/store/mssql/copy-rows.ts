import { MpeError } from '../../ops/errors.js';
import type { CopyPart } from '../copy/parts.js';
import type { CopyColumn, CopyTable, NeutralRow, NeutralType, NeutralValue } from '../copy/tables.js';
import { bigInteger, bytes, flag, guid, integer, text, time } from './columns.js';
import type { Connection } from './connection.js';
import type { JsonRow } from './json-rows.js';
import { bigintOf, bytesOf, rowsOf, sqlTime, type JsonValue } from './parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from './session.js';

/** The tables of a site database with their columns, computed ones left out; names in lower case. */
export async function tablesOf(session: Session): Promise<ReadonlyMap<string, readonly string[]>> {
  const tables = new Map<string, string[]>();
  const sets = await session.query(
    `SELECT t.name AS TableName, c.name AS ColumnName
     FROM sys.tables t JOIN sys.columns c ON c.object_id = t.object_id
     WHERE LOWER(t.name) LIKE 'mpe[_]%' AND c.is_computed = 0;`,
  );
  for (const row of firstSet(sets)) {
    const name = text(row, 'TableName').toLowerCase();
    tables.set(name, [...(tables.get(name) ?? []), text(row, 'ColumnName').toLowerCase()]);
  }
  return tables;
}

const whereOf = ({ where }: CopyPart): string => (where === '' ? '' : `WHERE ${where}`);

/** Rows of a part. */
export async function countPart(session: Session, part: CopyPart): Promise<number> {
  const row = firstRow(
    await session.query(`SELECT COUNT_BIG(*) AS N FROM ${part.table.name} ${whereOf(part)};`),
  );
  if (row === undefined) throw new MpeError('INTERNAL', 'a count answered no row');
  return integer(row, 'N');
}

/** Streams a part: in the order in which numbers were given, else in that of the key. */
export async function* readPart(
  connection: Connection,
  part: CopyPart,
  skip: number,
): AsyncGenerator<NeutralRow> {
  const { table } = part;
  const order = table.surrogate ?? table.key.mssql.join(', ');
  const names = table.columns.map(({ name }) => name).join(', ');
  const sql =
    `SELECT ${names} FROM ${table.name} ${whereOf(part)} ORDER BY ${order} ` +
    (skip === 0 ? ';' : 'OFFSET @skip ROWS;');
  const parameters = skip === 0 ? {} : { skip: bigintOf(BigInt(skip)) };
  for await (const row of connection.stream(sql, parameters)) {
    yield table.columns.map((column) => toNeutral(row, column));
  }
}

const READ: Readonly<Record<NeutralType, (row: SqlRow, column: string) => NeutralValue>> = {
  ...{ guid, text, word: text, json: text, int: integer, bigint: bigInteger, time, bytes, bool: flag },
};

const toNeutral = (row: SqlRow, { name, type }: CopyColumn): NeutralValue =>
  row[name] === null ? null : READ[type](row, name);

/** What OPENJSON makes of a value; bytes come as hex and are turned into binary by the statement. */
const JSON_TYPE: Readonly<Record<NeutralType, string>> = {
  guid: 'uniqueidentifier',
  text: 'nvarchar(max)',
  word: 'nvarchar(max)',
  json: 'nvarchar(max)',
  int: 'int',
  bigint: 'bigint',
  time: 'datetime2(3)',
  bytes: 'varchar(max)',
  bool: 'bit',
};

/**
 * Writes rows of a part in one statement, leaving out those that are there. Numbers are given in
 * the order of the rows. The caller has the transaction.
 */
export async function insertPart(
  tx: Session,
  part: CopyPart,
  rows: readonly NeutralRow[],
  place: number,
): Promise<void> {
  const { table } = part;
  const known = table.key.mssql.length > 0;
  // Rows without a key are known by their place: what is there already is the beginning.
  const missing = known ? rows : rows.slice(Math.max(0, (await countPart(tx, part)) - place));
  if (missing.length === 0) return;
  await tx.query(insertSql(table), { rows: rowsOf(missing.map((row, i) => toJson(table, row, i))) });
  if (table.name === 'MPE_Audit') await moveAuditHead(tx, table, missing);
}

function insertSql(table: CopyTable): string {
  const value = ({ name, type }: CopyColumn, size: string): string =>
    type === 'bytes' ? `CONVERT(varbinary(${size}), r.${name}, 2)` : `r.${name}`;
  const same = table.key.mssql.map((name) => {
    const column = table.columns.find((one) => one.name === name);
    if (column === undefined) throw new MpeError('INTERNAL', `${table.name}.${name} is not described`);
    // Text of keys has a binary collation; that of OPENJSON is the database's.
    const collated = column.type === 'word' || column.type === 'text' ? ' COLLATE Latin1_General_BIN2' : '';
    return `t.${name} = ${value(column, '32')}${collated}`;
  });
  const shape = table.columns.map(({ name, type }) => `${name} ${JSON_TYPE[type]}`);
  return `
    INSERT INTO ${table.name} (${table.columns.map(({ name }) => name).join(', ')})
    SELECT ${table.columns.map((column) => value(column, 'max')).join(', ')}
    FROM OPENJSON(@rows) WITH (RowOrder int, ${shape.join(', ')}) r
    ${same.length === 0 ? '' : `WHERE NOT EXISTS (SELECT 1 FROM ${table.name} t WHERE ${same.join(' AND ')})`}
    ORDER BY r.RowOrder;`;
}

function toJson(table: CopyTable, row: NeutralRow, order: number): JsonRow {
  const json: Record<string, JsonValue> = { RowOrder: order };
  table.columns.forEach(({ name, type }, i) => {
    const value = row[i] ?? null;
    json[name] = type === 'time' && typeof value === 'number' ? sqlTime(value) : value;
  });
  return json;
}

/** The end of the audit chain goes up row by row, as when the rows were first written. */
async function moveAuditHead(tx: Session, table: CopyTable, rows: readonly NeutralRow[]): Promise<void> {
  const [sequence, hash] = ['Sequence', 'Hash'].map((name) =>
    table.columns.findIndex((column) => column.name === name),
  ) as [number, number];
  for (const row of rows) {
    await tx.query(
      'UPDATE MPE_AuditHead SET Sequence = @sequence, Hash = @hash WHERE Sequence = @sequence - 1;',
      { sequence: bigintOf(row[sequence] as bigint), hash: bytesOf(row[hash] as Buffer) },
    );
  }
}
