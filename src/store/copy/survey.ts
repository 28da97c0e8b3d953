import { MpeError } from '../../ops/errors.js';
import { siteHash } from '../site-hash.js';
import { TableDigest } from './digest.js';
import { wholeTable } from './parts.js';
import type { SiteState } from './record.js';
import type { CopySource } from './side.js';
import { copiedSchema, COPY_TABLES, isLeftOut } from './tables.js';

/** Called with the number of rows read so far. */
export type OnRows = (rows: number) => void;

const REPORT_EVERY = 1000;

/**
 * Reads a whole database, row by row: how many rows each table has, a digest of their values, the
 * site hash.
 */
export async function survey(side: CopySource, onRows: OnRows): Promise<SiteState> {
  const site = await side.store.readSite();
  if (site === null) {
    throw new MpeError('SITE_MISMATCH', 'the source of the copy holds no site: check --from');
  }
  const tables: Record<string, { rows: number; digest: string }> = {};
  let read = 0;
  for (const table of COPY_TABLES) {
    const digest = new TableDigest(table);
    for await (const row of side.read(wholeTable(table), 0)) {
      digest.add(row);
      read += 1;
      if (read % REPORT_EVERY === 0) onRows(read);
    }
    tables[table.name] = { rows: digest.rows, digest: digest.toString() };
  }
  onRows(read);
  return { siteGuid: site.siteGuid, siteHash: await siteHash(side.store), tables };
}

/** Rows of a database that {@link survey} will read. */
export async function countAll(side: CopySource): Promise<number> {
  let rows = 0;
  for (const table of COPY_TABLES) rows += await side.count(wholeTable(table));
  return rows;
}

/**
 * The schema of a database must be the one that this release copies: a column that it does not know
 * would be lost without a word.
 *
 * @throws MpeError SCHEMA_MISMATCH
 */
export async function checkCopySchema(side: CopySource, which: string): Promise<void> {
  const schema = await side.schema();
  const known = copiedSchema(side.store.dialect);
  for (const [name, columns] of schema) {
    if (isLeftOut(name)) continue;
    const expected = known.get(name);
    const stray = expected === undefined ? '' : columns.find((column) => !expected.includes(column));
    if (stray === undefined) continue;
    throw new MpeError(
      'SCHEMA_MISMATCH',
      `${which} is of a newer release: this one does not know ${stray === '' ? name : `${name}.${stray}`}; copy it with the newer one`,
    );
  }
  for (const [name, columns] of known) {
    const missing = columns.find((column) => schema.get(name)?.includes(column) !== true);
    if (missing === undefined) continue;
    throw new MpeError(
      'SCHEMA_MISMATCH',
      `${which} has no ${name}.${missing}: bring its schema up to this release first ("mpe migrate")`,
    );
  }
}
