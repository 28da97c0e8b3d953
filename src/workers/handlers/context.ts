import type { Guid } from '../../protocol/guid.js';
import type { FingerprintKey } from '../../secrets/fingerprint.js';
import type { Gates } from '../gates.js';

/** What a handler may look at. It reads nothing else and writes nothing. */
export interface HandlerContext {
  readonly clientId: Guid;
  readonly gates: Gates;
  readonly fingerprintKey: FingerprintKey;
}
