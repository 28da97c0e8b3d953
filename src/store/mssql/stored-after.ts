import { MpeError } from '../../ops/errors.js';
import type { StoredSecret } from '../site-store.js';
import { again } from './again.js';
import { integer, integerOrNull, time } from './columns.js';
import { bigintOf, intOf, rowsOf } from './parameters.js';
import { firstRow, type Session, type SqlRow } from './session.js';
import { advance, parsePlace, writePlace, type TablePlace } from './stored-place.js';
import { GENERATIONS, storedSecret } from './stored-secret.js';

/**
 * Generations in the order of their row numbers. The database gives a number when a row is inserted,
 * not when it is committed, so a row may show after rows of higher numbers. Therefore a place holds,
 * beside the highest number read, the gaps below it, and each call looks into them again, until no
 * transaction can be open that long and what was there has been rolled back.
 */
export async function secretsStoredAfter(
  session: Session,
  place: string | null,
  limit: number,
): Promise<{ readonly secrets: readonly StoredSecret[]; readonly place: string }> {
  return again('reading new secrets', async () => {
    const state = await readState(session, limit);
    const known = parsePlace(place);
    const secrets: StoredSecret[] = [];
    const next: TablePlace[] = [];
    for (const [table, { end, begin }] of state.tables.entries()) {
      const from = known[table];
      // A place beyond the end is of a newer database than this one, which was restored: start over.
      const start = from === undefined || from.last > end ? { last: begin, gaps: [] } : from;
      const rows = await readTable(session, table, start, limit - secrets.length);
      const numbers = rows.map((row) => integer(row, 'RowNumber'));
      secrets.push(...rows.map(storedSecret));
      next.push(advance(start, numbers, state.nowMs));
    }
    return { secrets, place: writePlace(next) };
  });
}

/** The server's time, the highest number of each table, and the number before its newest `limit` rows. */
async function readState(
  session: Session,
  limit: number,
): Promise<{ nowMs: number; tables: { end: number; begin: number }[] }> {
  const row = firstRow(await session.query(STATE_SQL, { limit: intOf(limit) }));
  if (row === undefined) throw new MpeError('INTERNAL', 'a SELECT without FROM answered no row');
  return {
    nowMs: time(row, 'Now'),
    tables: GENERATIONS.map((_, table) => ({
      end: integerOrNull(row, `End${table}`) ?? 0,
      begin: Math.max(0, (integerOrNull(row, `Begin${table}`) ?? 0) - 1),
    })),
  };
}

/** At most `limit` rows of a table: those that came up in gaps, then those above. */
async function readTable(
  session: Session,
  table: number,
  place: TablePlace,
  limit: number,
): Promise<SqlRow[]> {
  if (limit <= 0) return [];
  const sets = await session.query(TABLE_SQL[table] ?? '', {
    limit: intOf(limit),
    last: bigintOf(BigInt(place.last)),
    gaps: rowsOf(place.gaps.map(({ from, to }) => ({ f: from, t: to }))),
  });
  return sets.flat().slice(0, limit);
}

const STATE_SQL = `SELECT SYSUTCDATETIME() AS Now, ${GENERATIONS.map(
  ({ table }, i) => `
    (SELECT MAX(RowNumber) FROM ${table}) AS End${i},
    (SELECT MIN(RowNumber) FROM (SELECT TOP (@limit) RowNumber FROM ${table} ORDER BY RowNumber DESC) n) AS Begin${i}`,
).join(',')}`;

const TABLE_SQL = GENERATIONS.map(
  ({ columns, from }) => `
    SELECT TOP (@limit) s.RowNumber, ${columns} FROM ${from}
      JOIN OPENJSON(@gaps) WITH (f bigint '$.f', t bigint '$.t') g ON s.RowNumber BETWEEN g.f AND g.t
    ORDER BY s.RowNumber;
    SELECT TOP (@limit) s.RowNumber, ${columns} FROM ${from}
    WHERE s.RowNumber > @last ORDER BY s.RowNumber;`,
);
