import { systemClock, type Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import type { SiteStore } from './site-store.js';
import { openSqlite } from './sqlite/open-sqlite.js';

/** Where the site database is, as the configuration says. */
export type StoreLocation =
  { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'mssql'; readonly url: string };

/** How to open it. */
export interface OpenStoreOptions {
  /** No migrations, no writes; the database must exist. */
  readonly readOnly?: boolean;
  /** For the times of administrative rows; the system clock where absent. */
  readonly clock?: Clock;
}

/**
 * Opens the site database, brings its schema up to this release and checks that it is durable.
 *
 * @throws MpeError SCHEMA_MISMATCH where the schema is newer and breaking, or missing with
 *   `readOnly`; STORE_NOT_DURABLE; CONFIG_INVALID for a store that this release does not have.
 */
export async function openStore(location: StoreLocation, options: OpenStoreOptions = {}): Promise<SiteStore> {
  switch (location.kind) {
    case 'sqlite':
      return openSqlite(location.path, {
        readOnly: options.readOnly ?? false,
        clock: options.clock ?? systemClock(),
      });
    case 'mssql':
      throw new MpeError(
        'CONFIG_INVALID',
        'MPE_STORE_URL: this release has no SQL Server store yet; use sqlite:<path>',
      );
  }
}
