import type { RotationStore } from '../../rotation-store.js';
import type { Connection } from '../connection.js';
import { run } from '../run.js';
import { close } from './close.js';
import { open } from './open.js';
import { find, page } from './page.js';
import { presentKeys } from './present-keys.js';
import { returned } from './returned.js';

/**
 * `store.rotation` over SQL Server.
 *
 * @param write runs work that writes; refuses it where the process opened the database to read it only
 */
export function mssqlRotation(
  c: Connection,
  write: <T>(doing: string, work: () => Promise<T>) => Promise<T>,
): RotationStore {
  return {
    open: (demands) => write('asking for rotations', () => open(c, demands)),
    page: (filter, after, limit) => run('reading rotations', () => page(c, filter, after, limit)),
    find: (requestId) => run('reading a rotation', () => find(c, requestId)),
    close: (closures) => write('closing rotations', () => close(c, closures)),
    presentKeys: (of) => run('reading present keys', () => presentKeys(c, of)),
    returned: (after, limit) => run('looking for keys that came back', () => returned(c, after, limit)),
  };
}
