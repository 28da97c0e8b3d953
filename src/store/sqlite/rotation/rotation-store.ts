import type { RotationStore } from '../../rotation-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import { close } from './close.js';
import { open } from './open.js';
import { find, page } from './page.js';
import { presentKeys } from './present-keys.js';
import { returned } from './returned.js';

/** `store.rotation` over one SQLite connection. */
export function sqliteRotation(c: Connection): RotationStore {
  return {
    open: (demands) => retryBusy('asking for rotations', () => open(c, demands)),
    page: (filter, after, limit) => retryBusy('reading rotations', () => page(c, filter, after, limit)),
    find: (requestId) => retryBusy('reading a rotation', () => find(c, requestId)),
    close: (closures) => retryBusy('closing rotations', () => close(c, closures)),
    presentKeys: (of) => retryBusy('reading present keys', () => presentKeys(c, of)),
    returned: (after, limit) => retryBusy('looking for keys that came back', () => returned(c, after, limit)),
  };
}
