import type { Guid } from '../../protocol/guid.js';
import { JOIN_TYPES } from '../../protocol/vocabulary.js';
import type { ClientKeyRow, ClientRow } from '../site-store.js';
import { channelOf, guid, integer, text, textOrNull, time, word } from './columns.js';
import { rowsOf, wordOf } from './parameters.js';
import { firstSet, type Session, type SqlRow } from './session.js';

const IDS = `OPENJSON(@ids) WITH (ClientId uniqueidentifier '$.id') i`;

/**
 * Registered clients with all their keys and flags, oldest first; null for an unknown id. Same order
 * as given, one round trip.
 *
 * Not one state of the database: clients are read before keys, so that a client that registers anew
 * meanwhile shows its former epoch with the new key beside the others, and never an epoch without
 * its key.
 */
export async function findClients(session: Session, ids: readonly Guid[]): Promise<(ClientRow | null)[]> {
  const [clients = [], keys = [], flags = []] = await session.query(
    `SELECT c.ClientId, c.State, c.Epoch, c.MachineName, c.Domain, c.HardwareId, c.JoinType, c.Tag, c.RegisteredAt
     FROM MPE_Clients c JOIN ${IDS} ON i.ClientId = c.ClientId;
     SELECT k.ClientId, k.Kid, k.Epoch, k.PublicJwk, k.RegisteredAt, k.ChannelKind, k.ChannelSubject, k.ApprovedBy
     FROM MPE_ClientKeys k JOIN ${IDS} ON i.ClientId = k.ClientId ORDER BY k.Epoch;
     SELECT f.ClientId, f.Flag, f.Epoch, f.FlaggedAt, f.Detail
     FROM MPE_ClientFlags f JOIN ${IDS} ON i.ClientId = f.ClientId ORDER BY f.Epoch, f.Flag;`,
    { ids: rowsOf([...new Set(ids)].map((id) => ({ id }))) },
  );
  const keysOf = grouped(keys, keyFromRow);
  const flagsOf = grouped(flags, flagFromRow);
  const found = new Map(
    clients.map((row) => {
      const clientId = guid(row, 'ClientId');
      return [clientId, clientFromRow(row, keysOf.get(clientId) ?? [], flagsOf.get(clientId) ?? [])];
    }),
  );
  return ids.map((id) => found.get(id) ?? null);
}

/** Client ids that registered this key: none or one, for a key belongs to one client. */
export async function findKeyOwners(session: Session, kid: string): Promise<Guid[]> {
  const sets = await session.query('SELECT ClientId FROM MPE_ClientKeys WHERE Kid = @kid', {
    kid: wordOf(kid),
  });
  return firstSet(sets).map((row) => guid(row, 'ClientId'));
}

function grouped<V>(rows: readonly SqlRow[], read: (row: SqlRow) => V): Map<Guid, V[]> {
  const groups = new Map<Guid, V[]>();
  for (const row of rows) {
    const clientId = guid(row, 'ClientId');
    const group = groups.get(clientId);
    if (group === undefined) groups.set(clientId, [read(row)]);
    else group.push(read(row));
  }
  return groups;
}

function clientFromRow(row: SqlRow, keys: ClientRow['keys'], flags: ClientRow['flags']): ClientRow {
  return {
    clientId: guid(row, 'ClientId'),
    state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
    epoch: integer(row, 'Epoch'),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    joinType: word(row, 'JoinType', JOIN_TYPES),
    tag: text(row, 'Tag'),
    registeredAtMs: time(row, 'RegisteredAt'),
    keys,
    flags,
  };
}

function keyFromRow(row: SqlRow): ClientKeyRow {
  const channel = channelOf(row);
  const approvedBy = textOrNull(row, 'ApprovedBy');
  return {
    kid: text(row, 'Kid'),
    epoch: integer(row, 'Epoch'),
    publicJwk: text(row, 'PublicJwk'),
    registeredAtMs: time(row, 'RegisteredAt'),
    ...(channel === null ? {} : { channel }),
    ...(approvedBy === null ? {} : { approvedBy }),
  };
}

function flagFromRow(row: SqlRow): ClientRow['flags'][number] {
  return {
    flag: text(row, 'Flag'),
    atMs: time(row, 'FlaggedAt'),
    detail: `epoch ${integer(row, 'Epoch')}: ${text(row, 'Detail')}`,
  };
}
