import type { Guid } from '../../protocol/guid.js';
import type { Connection } from './connection.js';

/**
 * Flags one epoch of a client as a clone, once; the caller has the transaction. Nothing is lost:
 * the client is told to register anew, and its next epoch is free of the flag.
 */
export function flagClone(c: Connection, clientId: Guid, epoch: number, atMs: number, detail: string): void {
  c.run(
    `INSERT INTO MPE_ClientFlags (ClientId, Flag, Epoch, FlaggedAt, Detail)
     VALUES (?, 'CLONE', ?, ?, ?) ON CONFLICT DO NOTHING`,
    clientId,
    epoch,
    atMs,
    detail,
  );
}
