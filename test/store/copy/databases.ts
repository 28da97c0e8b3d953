import { join } from 'node:path';
import type { StoreLocation } from '../../../src/store/open-store.js';
import { makeSqlServerDatabase, sqlServerUrl } from '../../support/sqlserver.js';
import { tempFolder } from '../../support/temp.js';

/** A place for a new SQLite database. */
export function newSqlite(): Extract<StoreLocation, { kind: 'sqlite' }> {
  return { kind: 'sqlite', path: join(tempFolder('mpe-copy-'), 'site.db') };
}

/** An empty database on the test server, without a schema; and its URL, for commands. */
export async function newMssql(): Promise<{ location: StoreLocation; url: string }> {
  const { location, target } = await makeSqlServerDatabase({ schema: false });
  const url = new URL(sqlServerUrl() ?? '');
  url.pathname = `/${target.database}`;
  return { location, url: url.href };
}
