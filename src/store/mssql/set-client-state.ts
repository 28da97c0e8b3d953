import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { again } from './again.js';
import { text } from './columns.js';
import type { Connection } from './connection.js';
import { guidOf, textOf, timeOf, wordOf } from './parameters.js';
import { firstRow } from './session.js';

/**
 * Blocks or unblocks a client, and says so in the machine's events. Its keys stay readable.
 *
 * The first statement changes nothing and locks the row until the end, so that what is read after
 * it is what stands: two operators leave one event for one change.
 *
 * @throws MpeError VALUE_INVALID where no such client is registered.
 */
export async function setClientState(
  connection: Connection,
  clientId: Guid,
  state: 'ACTIVE' | 'BLOCKED',
  by: string,
  nowMs: number,
): Promise<void> {
  await again('setting a client state', () =>
    connection.transaction(async (tx) => {
      const client = { clientId: guidOf(clientId) };
      const sets = await tx.query(
        `UPDATE MPE_Clients SET State = State WHERE ClientId = @clientId;
         SELECT State FROM MPE_Clients WHERE ClientId = @clientId;`,
        client,
      );
      const row = firstRow(sets);
      if (row === undefined) throw new MpeError('VALUE_INVALID', `no client ${clientId} is registered`);
      if (text(row, 'State') === state) return;
      await tx.query(
        `UPDATE MPE_Clients SET State = @state WHERE ClientId = @clientId;
         INSERT INTO MPE_MachineEvents (ClientId, Event, IntoClientId, HappenedAt, DoneBy)
         VALUES (@clientId, @event, NULL, @at, @by);`,
        {
          ...client,
          state: wordOf(state),
          event: wordOf(state === 'BLOCKED' ? 'BLOCKED' : 'UNBLOCKED'),
          at: timeOf(nowMs),
          by: textOf(by),
        },
      );
    }),
  );
}
