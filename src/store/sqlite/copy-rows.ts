import { MpeError } from '../../ops/errors.js';
import type { CopyPart } from '../copy/parts.js';
import { columnsFor, type CopyColumn, type NeutralRow, type NeutralValue } from '../copy/tables.js';
import { integer } from './columns.js';
import type { Connection, SqlParameter, SqlValue } from './connection.js';

/** The tables of a site database with their columns; names in lower case. */
export function tablesOf(c: Connection): ReadonlyMap<string, readonly string[]> {
  const tables = new Map<string, string[]>();
  for (const row of c.all(
    `SELECT t.name AS TableName, i.name AS ColumnName
     FROM pragma_table_list t JOIN pragma_table_info(t.name) i
     WHERE t.type = 'table' AND t.name LIKE 'MPE\\_%' ESCAPE '\\'`,
  )) {
    const name = String(row['TableName']).toLowerCase();
    tables.set(name, [...(tables.get(name) ?? []), String(row['ColumnName']).toLowerCase()]);
  }
  return tables;
}

/** Rows of a part. */
export function countPart(c: Connection, { table, where }: CopyPart): number {
  const row = c.get(`SELECT count(*) AS N FROM ${table.name} ${where === '' ? '' : `WHERE ${where}`}`);
  if (row === undefined) throw new MpeError('INTERNAL', 'a count answered no row');
  return integer(row, 'N');
}

/** Streams a part in the order in which its rows were stored. */
export function* readPart(c: Connection, { table, where }: CopyPart, skip: number): Generator<NeutralRow> {
  const [parent = ''] = table.key.mssql;
  const selected = table.columns.map(({ name, ordinal }) =>
    ordinal ? `row_number() OVER (PARTITION BY ${parent} ORDER BY rowid) - 1 AS ${name}` : name,
  );
  const sql =
    `SELECT ${selected.join(', ')} FROM ${table.name} ${where === '' ? '' : `WHERE ${where}`} ` +
    'ORDER BY rowid LIMIT -1 OFFSET ?';
  for (const row of c.db.prepare<[number], SqlValue[]>(sql).raw().iterate(skip)) {
    yield table.columns.map((column, i) => toNeutral(column, row[i] ?? null));
  }
}

function toNeutral({ name, type }: CopyColumn, value: SqlValue): NeutralValue {
  if (value === null) return null;
  const wrong = (): never => {
    throw new MpeError('STORE_FAILED', `a row of the source holds no ${type} in column ${name}`);
  };
  switch (type) {
    case 'guid':
    case 'text':
    case 'word':
    case 'json':
      return typeof value === 'string' ? value : wrong();
    case 'bytes':
      return Buffer.isBuffer(value) ? value : wrong();
    case 'bigint':
      return typeof value === 'bigint' ? value : wrong();
    case 'bool':
      return typeof value === 'bigint' ? value !== 0n : wrong();
    case 'int':
    case 'time':
      return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : wrong();
  }
}

/**
 * Writes rows of a part, leaving out those that are there. The triggers of append-only tables fire
 * before SQLite sees a conflict, so the condition stands in the statement. The caller has the
 * transaction.
 */
export function insertPart(c: Connection, part: CopyPart, rows: readonly NeutralRow[], place: number): void {
  const { table } = part;
  const columns = columnsFor(table, 'sqlite');
  const key = table.key.sqlite;
  const names = columns.map(({ name }) => name).join(', ');
  const there = key.map((name) => `${name} = ?${columns.findIndex((one) => one.name === name) + 1}`);
  const sql =
    `INSERT INTO ${table.name} (${names}) SELECT ${columns.map((_, i) => `?${i + 1}`).join(', ')} ` +
    (key.length === 0 ? '' : `WHERE NOT EXISTS (SELECT 1 FROM ${table.name} WHERE ${there.join(' AND ')})`);
  // Rows without a key are known by their place: what is there already is the beginning.
  const missing = key.length === 0 ? rows.slice(Math.max(0, countPart(c, part) - place)) : rows;
  for (const row of missing) {
    const values = table.columns.flatMap((column, i) =>
      column.ordinal ? [] : [toParameter(row[i] ?? null)],
    );
    c.run(sql, ...values);
    if (table.name === 'MPE_Audit') moveAuditHead(c, part, row);
  }
}

/** The end of the audit chain goes up row by row, as when the rows were first written. */
function moveAuditHead(c: Connection, { table }: CopyPart, row: NeutralRow): void {
  const value = (name: string): SqlParameter =>
    toParameter(row[table.columns.findIndex((column) => column.name === name)] ?? null);
  c.run(
    'UPDATE MPE_AuditHead SET Sequence = ?1, Hash = ?2 WHERE Sequence = ?1 - 1',
    value('Sequence'),
    value('Hash'),
  );
}

function toParameter(value: NeutralValue): SqlParameter {
  return typeof value === 'boolean' ? (value ? 1 : 0) : value;
}
