import type { RotationRequestRow } from '../site-store.js';
import { again } from './again.js';
import type { Connection } from './connection.js';
import { guidOf, timeOf } from './parameters.js';

/** Opens a rotation request, idempotent on its id; one statement. */
export async function openRotationRequest(
  connection: Connection,
  row: RotationRequestRow,
  atMs: number,
): Promise<void> {
  await again('opening a rotation request', () =>
    connection.query(
      `INSERT INTO MPE_RotationRequests (RequestId, VolumeId, KeyId, Deadline, OpenedAt)
       SELECT @requestId, @volumeId, @keyId, @deadline, @at
       WHERE NOT EXISTS (SELECT 1 FROM MPE_RotationRequests WHERE RequestId = @requestId)`,
      {
        requestId: guidOf(row.requestId),
        volumeId: guidOf(row.volumeId),
        keyId: guidOf(row.keyId),
        deadline: timeOf(row.deadlineMs),
        at: timeOf(atMs),
      },
    ),
  );
}
