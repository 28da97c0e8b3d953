import type { StoreSetting } from '../config/index.js';
import { systemClock, type Clock } from '../ops/clock.js';
import type { ProcessKind } from './mssql/grants.js';
import type { SiteStore } from './site-store.js';
import { openSqlite } from './sqlite/open-sqlite.js';

/** Where the site database is, as the configuration says. */
export type StoreLocation = StoreSetting;

/** How to open it. */
export interface OpenStoreOptions {
  /** No migrations, no writes; the database must exist. */
  readonly readOnly?: boolean;
  /** For the times of administrative rows; the system clock where absent. */
  readonly clock?: Clock;
  /** Calls made at once: how many connections to SQL Server may be open where the location does not say. */
  readonly concurrency?: number;
  /** Whose rights the login to SQL Server must have; the start names those that are missing. */
  readonly kind?: ProcessKind;
}

/** Connections of a process that says nothing about its concurrency. */
const DEFAULT_POOL_MAX = 10;

/**
 * Opens the site database and checks its schema and that it is durable. SQLite is brought up to
 * this release; SQL Server is not, for that is the work of `mpe migrate` and of another login.
 *
 * @throws MpeError SCHEMA_MISMATCH where the schema is newer and breaking, or missing; on SQL Server
 *   also where it is older; STORE_NOT_DURABLE; STORE_TRANSIENT or STORE_FAILED.
 */
export async function openStore(location: StoreLocation, options: OpenStoreOptions = {}): Promise<SiteStore> {
  const readOnly = options.readOnly ?? false;
  const clock = options.clock ?? systemClock();
  switch (location.kind) {
    case 'sqlite':
      return openSqlite(location.path, { readOnly, clock });
    case 'mssql': {
      // Only who uses SQL Server loads its driver, which is large.
      const { openMssql } = await import('./mssql/open-mssql.js');
      const poolMax = location.poolMax ?? options.concurrency ?? DEFAULT_POOL_MAX;
      return openMssql(location.target, {
        ...{ readOnly, clock, poolMax },
        ...(options.kind === undefined ? {} : { kind: options.kind }),
      });
    }
  }
}
