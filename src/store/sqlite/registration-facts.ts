import type { Guid } from '../../protocol/guid.js';
import type { RegistrationFacts } from '../registration-decision.js';
import { channelOf, guid, integer, text } from './columns.js';
import type { Connection } from './connection.js';

/** Reads what decides over a key of a client. */
export function readFacts(c: Connection, clientId: Guid, kid: string): RegistrationFacts {
  const client = c.get('SELECT State, Epoch FROM MPE_Clients WHERE ClientId = ?', clientId);
  const key = c.get('SELECT ClientId, Epoch FROM MPE_ClientKeys WHERE Kid = ?', kid);
  const epoch = client === undefined ? 0 : integer(client, 'Epoch');
  const current = c.get(
    'SELECT Kid, ChannelKind, ChannelSubject FROM MPE_ClientKeys WHERE ClientId = ? AND Epoch = ?',
    clientId,
    epoch,
  );
  return {
    client: client === undefined ? null : { blocked: text(client, 'State') === 'BLOCKED', epoch },
    key: key === undefined ? null : { owner: guid(key, 'ClientId'), epoch: integer(key, 'Epoch') },
    current: current === undefined ? null : { kid: text(current, 'Kid'), channel: channelOf(current) },
  };
}
