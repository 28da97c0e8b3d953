import type { Guid } from '../../protocol/guid.js';
import type { RegistrationFacts } from '../registration-decision.js';
import { channelOf, guid, integer, text } from './columns.js';
import { guidOf, wordOf } from './parameters.js';
import type { Session } from './session.js';

/**
 * Reads it in one round trip, in an order that makes what is read true together. Clients, keys and
 * epochs only ever come to be, and a client comes to be with its key in one transaction; so with the
 * client first and the key's owner last, a rival's commit in between can show as "client unknown,
 * key his own" (both read again by the caller) or as a current key that is no longer current (the
 * insert of the next epoch then meets the rival's row), never as a key that nobody has.
 */
export async function readFacts(
  session: Session,
  of: { readonly clientId: Guid; readonly kid: string },
): Promise<RegistrationFacts> {
  const [clients = [], keys = [], owners = []] = await session.query(
    `SELECT State, Epoch FROM MPE_Clients WHERE ClientId = @clientId;
     SELECT Epoch, Kid, ChannelKind, ChannelSubject FROM MPE_ClientKeys WHERE ClientId = @clientId;
     SELECT ClientId, Epoch FROM MPE_ClientKeys WHERE Kid = @kid;`,
    { clientId: guidOf(of.clientId), kid: wordOf(of.kid) },
  );
  const client = clients[0];
  const owner = owners[0];
  const epoch = client === undefined ? 0 : integer(client, 'Epoch');
  const current = keys.find((key) => integer(key, 'Epoch') === epoch);
  return {
    client: client === undefined ? null : { blocked: text(client, 'State') === 'BLOCKED', epoch },
    key: owner === undefined ? null : { owner: guid(owner, 'ClientId'), epoch: integer(owner, 'Epoch') },
    current: current === undefined ? null : { kid: text(current, 'Kid'), channel: channelOf(current) },
  };
}
