import { sqlServerName, type SqlServerTarget } from '../../config/index.js';
import { Connection } from './connection.js';
import { run } from './run.js';

/**
 * Opens the connections to a database and connects once. Nothing is read or written.
 *
 * @throws MpeError STORE_TRANSIENT or STORE_FAILED that names the server, never the password;
 *   CONFIG_INVALID where the file of `ca` cannot be read
 */
export function openConnection(target: SqlServerTarget, poolMax: number): Promise<Connection> {
  return run(`connecting to ${sqlServerName(target)}`, () => Connection.open(target, { poolMax }));
}
