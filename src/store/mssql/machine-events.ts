import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { MachineEventRow } from '../site-store.js';
import { again } from './again.js';
import { guid, guidOrNull, text, time, word } from './columns.js';
import type { Connection } from './connection.js';
import { guidOf, textOf, timeOf } from './parameters.js';
import { firstSet, type Session } from './session.js';

/**
 * Writes that one client is now another. Nothing is re-pointed.
 *
 * The first statement changes nothing and locks both rows until the end, in the order of their key,
 * so that of two operators the second sees what the first has written.
 */
export async function mergeClient(
  connection: Connection,
  clientId: Guid,
  intoClientId: Guid,
  by: string,
  nowMs: number,
): Promise<void> {
  if (clientId === intoClientId) throw new MpeError('VALUE_INVALID', 'a client is not merged into itself');
  const both = { clientId: guidOf(clientId), into: guidOf(intoClientId) };
  await again('merging a client', () =>
    connection.transaction(async (tx) => {
      const [clients = [], merges = []] = await tx.query(
        `UPDATE MPE_Clients SET State = State WHERE ClientId IN (@clientId, @into);
         SELECT ClientId FROM MPE_Clients WHERE ClientId IN (@clientId, @into);
         SELECT ClientId, IntoClientId FROM MPE_MachineEvents
         WHERE ClientId IN (@clientId, @into) AND Event = 'MERGED';`,
        both,
      );
      const known = clients.map((row) => guid(row, 'ClientId'));
      for (const one of [clientId, intoClientId]) {
        if (!known.includes(one)) throw new MpeError('VALUE_INVALID', `no client ${one} is registered`);
      }
      const [merge] = merges;
      if (merge !== undefined)
        throw new MpeError(
          'VALUE_INVALID',
          `client ${guid(merge, 'ClientId')} was merged into ${guid(merge, 'IntoClientId')} before`,
        );
      await tx.query(
        `INSERT INTO MPE_MachineEvents (ClientId, Event, IntoClientId, HappenedAt, DoneBy)
         VALUES (@clientId, 'MERGED', @into, @at, @by)`,
        { ...both, at: timeOf(nowMs), by: textOf(by) },
      );
    }),
  );
}

/** What operators did to a machine or merged into it, oldest first. */
export async function readMachineEvents(session: Session, clientId: Guid): Promise<MachineEventRow[]> {
  const sets = await session.query(
    `SELECT ClientId, Event, IntoClientId, HappenedAt, DoneBy FROM MPE_MachineEvents
     WHERE ClientId = @clientId OR IntoClientId = @clientId ORDER BY EventId`,
    { clientId: guidOf(clientId) },
  );
  return firstSet(sets).map((row) => ({
    clientId: guid(row, 'ClientId'),
    event: word(row, 'Event', ['DELETED', 'RESTORED', 'MERGED', 'BLOCKED', 'UNBLOCKED'] as const),
    intoClientId: guidOrNull(row, 'IntoClientId'),
    atMs: time(row, 'HappenedAt'),
    by: text(row, 'DoneBy'),
  }));
}
