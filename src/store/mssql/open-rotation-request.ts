import type { RotationRequestRow } from '../site-store.js';
import type { Connection } from './connection.js';
import { open } from './rotation/open.js';

/** Opens a rotation request by hand, idempotent on its id; the key counts as exposed. */
export async function openRotationRequest(
  connection: Connection,
  row: RotationRequestRow,
  atMs: number,
): Promise<void> {
  const { requestId, volumeId, keyId, deadlineMs } = row;
  await open(connection, [
    {
      ...{ requestId, exposureId: requestId, volumeId, keyId, deadlineMs, atMs },
      ...{ origin: 'OPERATOR', requestedBy: '', notBeforeMs: 0, evenAbsent: true },
    },
  ]);
}
