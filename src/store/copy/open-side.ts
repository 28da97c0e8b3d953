import type { Clock } from '../../ops/clock.js';
import type { StoreLocation } from '../open-store.js';
import { openSqliteSide } from '../sqlite/copy-side.js';
import type { CopySource, CopyTarget } from './side.js';

/**
 * Opens the source of a copy: read-only, a whole site.
 *
 * @throws MpeError SCHEMA_MISMATCH where there is none, COPY_UNFINISHED, and as `openStore`.
 */
export function openSource(location: StoreLocation, clock: Clock): Promise<CopySource> {
  return openSide(location, { readOnly: true, clock });
}

/**
 * Opens the target of a copy and brings its schema up to this release.
 *
 * @throws MpeError as `openStore`.
 */
export function openTarget(location: StoreLocation, clock: Clock): Promise<CopyTarget> {
  return openSide(location, { readOnly: false, clock });
}

async function openSide(
  location: StoreLocation,
  options: { readonly readOnly: boolean; readonly clock: Clock },
): Promise<CopyTarget> {
  switch (location.kind) {
    case 'sqlite':
      return openSqliteSide(location.path, options);
    case 'mssql': {
      // Only who uses SQL Server loads its driver, which is large.
      const { openMssqlSide } = await import('../mssql/copy-side.js');
      return openMssqlSide(location.target, options);
    }
  }
}
