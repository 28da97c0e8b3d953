import type { SiteStore } from '../site-store.js';
import type { CopyPart } from './parts.js';
import type { CopyRecord } from './record.js';
import type { NeutralRow } from './tables.js';

/** The few things of a site database that a copy asks of it. */
export type SiteReader = Pick<SiteStore, 'dialect' | 'readSite' | 'hashLines'>;

/** One of the two databases of a copy: what is read of it. */
export interface CopySource {
  /** The same database as the engine sees it. */
  readonly store: SiteReader;
  /** Its tables whose names start with MPE_, with their columns; all names in lower case, as some servers keep them. */
  schema(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Rows of a part. */
  count(part: CopyPart): Promise<number>;
  /** Streams the rows of a part, beginning after the first `skip`; the same order every time. */
  read(part: CopyPart, skip: number): AsyncIterable<NeutralRow>;
  close(): Promise<void>;
}

/** The database that is written. */
export interface CopyTarget extends CopySource {
  /** What it knows of a copy into it; null where none was begun. */
  readRecord(): Promise<CopyRecord | null>;
  /** Marks it as the target of this copy, before the first row comes. */
  begin(record: CopyRecord): Promise<void>;
  /**
   * Writes rows in one transaction, leaving out those that are there.
   *
   * @param place number of rows of this part before these, for tables whose rows have no key.
   */
  insert(part: CopyPart, rows: readonly NeutralRow[], place: number): Promise<void>;
  /** Makes it a site database that may be used. */
  finish(atMs: number): Promise<void>;
}
