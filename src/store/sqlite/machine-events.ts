import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { MachineEventRow } from '../site-store.js';
import { guid, integer, text, textOrNull, word } from './columns.js';
import type { Connection } from './connection.js';

/** Writes that one client is now another. Nothing is re-pointed. */
export function mergeClient(
  c: Connection,
  clientId: Guid,
  intoClientId: Guid,
  by: string,
  nowMs: number,
): void {
  if (clientId === intoClientId) throw new MpeError('VALUE_INVALID', 'a client is not merged into itself');
  c.immediate(() => {
    for (const one of [clientId, intoClientId]) {
      if (c.get('SELECT 1 FROM MPE_Clients WHERE ClientId = ?', one) === undefined)
        throw new MpeError('VALUE_INVALID', `no client ${one} is registered`);
      const merged = c.get(
        `SELECT IntoClientId FROM MPE_MachineEvents WHERE ClientId = ? AND Event = 'MERGED'`,
        one,
      );
      if (merged !== undefined)
        throw new MpeError(
          'VALUE_INVALID',
          `client ${one} was merged into ${text(merged, 'IntoClientId')} before`,
        );
    }
    c.run(
      `INSERT INTO MPE_MachineEvents (ClientId, Event, IntoClientId, HappenedAt, DoneBy)
       VALUES (?, 'MERGED', ?, ?, ?)`,
      clientId,
      intoClientId,
      nowMs,
      by,
    );
  });
}

/** What operators did to a machine or merged into it, oldest first. */
export function readMachineEvents(c: Connection, clientId: Guid): MachineEventRow[] {
  return c
    .all(
      'SELECT * FROM MPE_MachineEvents WHERE ClientId = ? OR IntoClientId = ? ORDER BY EventId',
      clientId,
      clientId,
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      event: word(row, 'Event', ['DELETED', 'RESTORED', 'MERGED', 'BLOCKED', 'UNBLOCKED'] as const),
      intoClientId: textOrNull(row, 'IntoClientId') as Guid | null,
      atMs: integer(row, 'HappenedAt'),
      by: text(row, 'DoneBy'),
    }));
}
