import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';

/** What a site holds, in a form that two databases can compare. */
export interface SiteState {
  readonly siteGuid: Guid;
  /** As `mpe site hash`. */
  readonly siteHash: string;
  /** By table: its rows and the digest of their values (see digest.ts). */
  readonly tables: Readonly<Record<string, { readonly rows: number; readonly digest: string }>>;
}

/** The row of MPE_StoreCopy: a database that is or was the target of `mpe store copy`. */
export interface CopyRecord {
  /** The source when the copy began. */
  readonly state: SiteState;
  readonly beganAtMs: number;
  /** null while the copy is not finished: the database must not be used. */
  readonly finishedAtMs: number | null;
}

/** Rows in all. */
export function rowsOf(state: SiteState): number {
  return Object.values(state.tables).reduce((sum, { rows }) => sum + rows, 0);
}

/** What two states differ in, in words; empty where they are equal. */
export function differences(a: SiteState, b: SiteState): readonly string[] {
  if (a.siteGuid !== b.siteGuid) return [`site ${a.siteGuid} is not site ${b.siteGuid}`];
  const names = [...new Set([...Object.keys(a.tables), ...Object.keys(b.tables)])];
  const tables = names.flatMap((name) => {
    const [x, y] = [a.tables[name], b.tables[name]];
    if (x?.rows !== y?.rows) return [`${name}: ${x?.rows ?? 0} rows and ${y?.rows ?? 0}`];
    return x?.digest === y?.digest ? [] : [`${name}: other values`];
  });
  return tables.length === 0 && a.siteHash !== b.siteHash ? ['the site hash'] : tables;
}

/** Why a database is not opened as a site. */
export function unfinishedCopy(beganAtMs: number): MpeError {
  return new MpeError(
    'COPY_UNFINISHED',
    `this database is the target of a copy that began ${new Date(beganAtMs).toISOString()} and has not finished; ` +
      'run the same "mpe store copy" again, it goes on where it stopped. Until then use the source',
    { facts: { beganAtMs } },
  );
}
