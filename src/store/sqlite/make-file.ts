import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes the file of a database and its folder where they are not there, readable by the owner alone, as
 * SQLite's side files then are. A file that is there is not opened: to close a handle of it would drop
 * every POSIX lock that this process has on it, also those of a connection that is open, and SQLite
 * elsewhere would think itself alone.
 */
export function makeFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
