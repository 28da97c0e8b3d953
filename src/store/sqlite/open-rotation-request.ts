import type { RotationRequestRow } from '../site-store.js';
import type { Connection } from './connection.js';

/** Opens a rotation request, idempotent on its id; one statement. */
export function openRotationRequest(c: Connection, row: RotationRequestRow, atMs: number): void {
  c.run(
    `INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt)
     VALUES (?, ?, ?, ?, ?) ON CONFLICT (RequestId) DO NOTHING`,
    row.requestId,
    row.volumeId,
    row.keyId,
    row.deadlineMs,
    atMs,
  );
}
