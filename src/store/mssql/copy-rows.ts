import { MpeError } from '../../ops/errors.js';
import type { CopyPart } from '../copy/parts.js';
import type { CopyColumn, CopyTable, NeutralRow, NeutralType, NeutralValue } from '../copy/tables.js';
import { bigInteger, bytes, flag, guid, integer, text, time } from './columns.js';
import type { Connection } from './connection.js';
import type { JsonRow } from './json-rows.js';
import { jsonText, textOfJson } from './json-text.js';
import {
  bigintOf,
  bytesOf,
  flagOf,
  guidOf,
  intOf,
  rowsOf,
  sqlTime,
  textOf,
  timeOf,
  wordOf,
  type JsonValue,
  type SqlParameter,
} from './parameters.js';
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
  const order = table.surrogate.mssql ?? table.key.mssql.join(', ');
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

/** Text that may hold characters which JSON escapes; words and tokens hold none. */
const isText = (type: NeutralType): boolean => type === 'text' || type === 'json';

/**
 * Writes rows of a part, in one statement but for rows with long values. Numbers are given in the
 * order of the rows. The caller has the transaction.
 *
 * Rows without a key are known by their place: those that are there stay out. Of a table with a key
 * all are taken for missing, which is what they are but after a lost answer: then its constraint
 * says so, and `thereToo` leaves out what is there, row by row. That is slow on a server which
 * cannot look up a converted value in an index.
 */
export async function insertPart(
  tx: Session,
  part: CopyPart,
  rows: readonly NeutralRow[],
  place: number,
  thereToo = false,
): Promise<void> {
  const { table } = part;
  const known = table.key.mssql.length > 0;
  const missing = known ? rows : rows.slice(Math.max(0, (await countPart(tx, part)) - place));
  let batch: NeutralRow[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length > 0) {
      const json = rowsOf(batch.map((row, i) => toJson(table, row, i)));
      await tx.query(insertManySql(table, thereToo), { rows: json });
    }
    batch = [];
  };
  for (const row of missing) {
    if (!isLong(row)) batch.push(row);
    else {
      await flush();
      await insertOne(tx, table, row);
    }
  }
  await flush();
  if (table.name === 'MPE_Audit') await moveAuditHead(tx, table, missing);
}

function insertManySql(table: CopyTable, thereToo: boolean): string {
  const value = ({ name, type }: CopyColumn, size: string): string =>
    type === 'bytes'
      ? `CONVERT(varbinary(${size}), r.${name}, 2)`
      : isText(type)
        ? textOfJson(`r.${name}`)
        : `r.${name}`;
  const same = table.key.mssql.map((name) => {
    const column = table.columns.find((one) => one.name === name);
    if (column === undefined) throw new MpeError('INTERNAL', `${table.name}.${name} is not described`);
    // Text of keys has a binary collation; that of OPENJSON is the database's.
    const collated = column.type === 'word' || column.type === 'text' ? ' COLLATE Latin1_General_BIN2' : '';
    return `t.${name} = ${value(column, '32')}${collated}`;
  });
  const there = `WHERE NOT EXISTS (SELECT 1 FROM ${table.name} t WHERE ${same.join(' AND ')})`;
  const shape = table.columns.map(({ name, type }) => `${name} ${JSON_TYPE[type]} '$.${name}'`);
  return `
    INSERT INTO ${table.name} (${table.columns.map(({ name }) => name).join(', ')})
    SELECT ${table.columns.map((column) => value(column, 'max')).join(', ')}
    FROM OPENJSON(@rows) WITH (RowOrder int '$.RowOrder', ${shape.join(', ')}) r
    ${thereToo && same.length > 0 ? there : ''}
    ORDER BY r.RowOrder;`;
}

function toJson(table: CopyTable, row: NeutralRow, order: number): JsonRow {
  const json: Record<string, JsonValue> = { RowOrder: order };
  table.columns.forEach(({ name, type }, i) => {
    const value = row[i] ?? null;
    if (type === 'time' && typeof value === 'number') json[name] = sqlTime(value);
    else json[name] = isText(type) && typeof value === 'string' ? jsonText(value) : value;
  });
  return json;
}

/** Characters of a value that every server gives back whole. */
const LONGEST = 4000;

/** Whether a value is longer as JSON than OPENJSON gives back on every server: Babelfish cuts it there. */
const isLong = (row: NeutralRow): boolean =>
  row.some(
    (value) =>
      (typeof value === 'string' && jsonText(value).length > LONGEST) ||
      (Buffer.isBuffer(value) && 2 * value.length > LONGEST),
  );

const PARAMETER: Readonly<Record<NeutralType, (value: never) => SqlParameter>> = {
  ...{ guid: guidOf, text: textOf, word: wordOf, json: textOf, int: intOf, bigint: bigintOf },
  ...{ time: timeOf, bytes: bytesOf, bool: flagOf },
};

/** A row with a long value, by parameters of its own. */
async function insertOne(tx: Session, table: CopyTable, row: NeutralRow): Promise<void> {
  const parameters = Object.fromEntries(
    table.columns.map(({ name, type }, i) => [name, PARAMETER[type]((row[i] ?? null) as never)]),
  );
  const names = table.columns.map(({ name }) => name);
  const same = table.key.mssql.map((name) => `t.${name} = @${name}`);
  const there = `WHERE NOT EXISTS (SELECT 1 FROM ${table.name} t WHERE ${same.join(' AND ')})`;
  await tx.query(
    `INSERT INTO ${table.name} (${names.join(', ')}) SELECT ${names.map((name) => `@${name}`).join(', ')}
     ${same.length === 0 ? '' : there};`,
    parameters,
  );
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
