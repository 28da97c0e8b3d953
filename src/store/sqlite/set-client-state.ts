import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { Connection } from './connection.js';

/**
 * Blocks or unblocks a client, and says so in the machine's events. Its keys stay readable.
 *
 * @throws MpeError VALUE_INVALID where no such client is registered.
 */
export function setClientState(
  c: Connection,
  clientId: Guid,
  state: 'ACTIVE' | 'BLOCKED',
  by: string,
  nowMs: number,
): void {
  c.immediate(() => {
    if (c.get('SELECT 1 FROM MPE_Clients WHERE ClientId = ?', clientId) === undefined) {
      throw new MpeError('VALUE_INVALID', `no client ${clientId} is registered`);
    }
    const changed = c.run(
      'UPDATE MPE_Clients SET State = ? WHERE ClientId = ? AND State <> ?',
      state,
      clientId,
      state,
    );
    if (changed === 0) return;
    c.run(
      'INSERT INTO MPE_MachineEvents (ClientId, Event, IntoClientId, HappenedAt, DoneBy) VALUES (?, ?, NULL, ?, ?)',
      clientId,
      state === 'BLOCKED' ? 'BLOCKED' : 'UNBLOCKED',
      nowMs,
      by,
    );
  });
}
