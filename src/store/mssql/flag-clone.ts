import type { Guid } from '../../protocol/guid.js';
import { guidOf, intOf, textOf, timeOf } from './parameters.js';
import type { Session } from './session.js';

/**
 * Flags one epoch of a client as a clone, once; the caller has the transaction and runs it again
 * where a rival wrote the same flag (unique violation). Nothing is lost: the client is told to
 * register anew, and its next epoch is free of the flag.
 */
export async function flagClone(
  tx: Session,
  clientId: Guid,
  epoch: number,
  atMs: number,
  detail: string,
): Promise<void> {
  await tx.query(
    `INSERT INTO MPE_ClientFlags (ClientId, Flag, Epoch, FlaggedAt, Detail)
     SELECT @clientId, 'CLONE', @epoch, @at, @detail
     WHERE NOT EXISTS (SELECT 1 FROM MPE_ClientFlags
                       WHERE ClientId = @clientId AND Flag = 'CLONE' AND Epoch = @epoch)`,
    { clientId: guidOf(clientId), epoch: intOf(epoch), at: timeOf(atMs), detail: textOf(detail) },
  );
}
