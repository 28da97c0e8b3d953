import type { RotationRequestRow } from '../site-store.js';
import type { Connection } from './connection.js';
import { open } from './rotation/open.js';

/** Opens a rotation request by hand, idempotent on its id; the key counts as exposed. */
export function openRotationRequest(c: Connection, row: RotationRequestRow, atMs: number): void {
  const { requestId, volumeId, keyId, deadlineMs } = row;
  open(c, [
    {
      ...{ requestId, exposureId: requestId, volumeId, keyId, deadlineMs, atMs },
      ...{ origin: 'OPERATOR', requestedBy: '', notBeforeMs: 0, evenAbsent: true },
    },
  ]);
}
