import type { Guid } from '../../protocol/guid.js';
import { JOIN_TYPES } from '../../protocol/vocabulary.js';
import type { ClientKeyRow, ClientRow } from '../site-store.js';
import { channelOf, guid, integer, text, textOrNull, word } from './columns.js';
import type { Connection, SqlRow } from './connection.js';

/** A registered client with all its keys and flags, oldest first; null for an unknown id. */
export function findClient(c: Connection, clientId: Guid): ClientRow | null {
  return c.snapshot(() => {
    const row = c.get('SELECT * FROM MPE_Clients WHERE ClientId = ?', clientId);
    if (row === undefined) return null;
    return {
      clientId,
      state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
      epoch: integer(row, 'Epoch'),
      machineName: text(row, 'MachineName'),
      domain: text(row, 'Domain'),
      hardwareId: text(row, 'HardwareId'),
      joinType: word(row, 'JoinType', JOIN_TYPES),
      tag: text(row, 'Tag'),
      registeredAtMs: integer(row, 'RegisteredAt'),
      keys: c.all('SELECT * FROM MPE_ClientKeys WHERE ClientId = ? ORDER BY Epoch', clientId).map(keyFromRow),
      flags: c
        .all('SELECT * FROM MPE_ClientFlags WHERE ClientId = ? ORDER BY Epoch, Flag', clientId)
        .map((flag) => ({
          flag: text(flag, 'Flag'),
          atMs: integer(flag, 'FlaggedAt'),
          detail: `epoch ${integer(flag, 'Epoch')}: ${text(flag, 'Detail')}`,
        })),
    };
  });
}

/** Client ids that registered this key: none or one, for a key belongs to one client. */
export function findKeyOwners(c: Connection, kid: string): Guid[] {
  return c.all('SELECT ClientId FROM MPE_ClientKeys WHERE Kid = ?', kid).map((row) => guid(row, 'ClientId'));
}

function keyFromRow(row: SqlRow): ClientKeyRow {
  const channel = channelOf(row);
  const approvedBy = textOrNull(row, 'ApprovedBy');
  return {
    kid: text(row, 'Kid'),
    epoch: integer(row, 'Epoch'),
    publicJwk: text(row, 'PublicJwk'),
    registeredAtMs: integer(row, 'RegisteredAt'),
    ...(channel === null ? {} : { channel }),
    ...(approvedBy === null ? {} : { approvedBy }),
  };
}
