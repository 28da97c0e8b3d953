import type { Guid } from '../../protocol/guid.js';
import {
  decideRegistration,
  refused,
  TOKENS_ONLY,
  type RegistrationFacts,
} from '../registration-decision.js';
import type { RegistrationChannel, RegistrationResult, RegistrationWrite } from '../site-store.js';
import { channelOf, guid, integer, text } from './columns.js';
import type { Connection } from './connection.js';
import { flagClone } from './flag-clone.js';
import { keepPending } from './pending-registrations.js';

/** Commits a registration whose signature was verified, in one transaction; see decideRegistration. */
export function commitRegistration(c: Connection, write: RegistrationWrite): RegistrationResult {
  return c.immediate(() => {
    const decision = decideRegistration(readFacts(c, write.clientId, write.kid), write);
    switch (decision.do) {
      case 'answer':
        return decision.result;
      case 'flag': {
        const { owner, ownerEpoch, alsoClient, epoch } = decision;
        flagClone(c, owner, ownerEpoch, write.atMs, `its key was sent for client ${write.clientId}`);
        // The other client only where its own key vouches for it: a client id is no secret, and who
        // knows one must not be able to send that client into a new epoch.
        if (alsoClient) flagClone(c, write.clientId, epoch, write.atMs, `it sent the key of client ${owner}`);
        return refused('KEY_IN_USE', epoch);
      }
      case 'new-epoch':
        return newEpoch(c, { ...write, channel: decision.channel }, decision.epoch);
      case 'new-client': {
        const token = takeUse(c, write);
        if (token === null && !decision.channelAdmits) return refused('TOKEN_REFUSED', 0);
        return newClient(c, write, token ?? { tokenId: null, tag: '' });
      }
      case 'wait':
        return keepPending(c, write, decision.epoch, (write.admission ?? TOKENS_ONLY).pendingMax);
    }
  });
}

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

/** Takes one use by a conditional update: never more uses than allowed, whoever races. */
function takeUse(c: Connection, write: RegistrationWrite): { tokenId: Guid; tag: string } | null {
  if (write.enrolmentTokenHash === null) return null;
  const taken = c.get(
    `UPDATE MPE_EnrolmentTokens SET UsesLeft = UsesLeft - 1
     WHERE SecretHash = ? AND UsesLeft > 0 AND ExpiresAt > ? AND RevokedAt IS NULL
     RETURNING TokenId, Tag`,
    write.enrolmentTokenHash,
    write.atMs,
  );
  return taken === undefined ? null : { tokenId: guid(taken, 'TokenId'), tag: text(taken, 'Tag') };
}

/** A key on its way into the database: verified, or approved. */
export type KeyToRegister = Pick<
  RegistrationWrite,
  | 'clientId'
  | 'registrationId'
  | 'kid'
  | 'publicJwk'
  | 'machineName'
  | 'domain'
  | 'hardwareId'
  | 'joinType'
  | 'provenByKid'
  | 'atMs'
> & { readonly channel?: RegistrationChannel | null; readonly approvedBy?: string };

/** Registers a new client with its first key. */
export function newClient(
  c: Connection,
  write: KeyToRegister,
  by: { readonly tokenId: Guid | null; readonly tag: string },
): RegistrationResult {
  c.run(
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag,
       RegisteredAt) VALUES (?, 'ACTIVE', 1, ?, ?, ?, ?, ?, ?)`,
    write.clientId,
    write.machineName,
    write.domain,
    write.hardwareId,
    write.joinType,
    by.tag,
    write.atMs,
  );
  insertKey(c, write, 1, by.tokenId);
  return { status: 'REGISTERED', reason: 'NONE', epoch: 1 };
}

/** Registers a new key of a known client. */
export function newEpoch(c: Connection, write: KeyToRegister, epoch: number): RegistrationResult {
  c.run(
    `UPDATE MPE_Clients SET Epoch = ?, MachineName = ?, Domain = ?, HardwareId = ?, JoinType = ?
     WHERE ClientId = ?`,
    epoch,
    write.machineName,
    write.domain,
    write.hardwareId,
    write.joinType,
    write.clientId,
  );
  insertKey(c, write, epoch, null);
  return { status: 'REGISTERED', reason: 'NONE', epoch };
}

function insertKey(c: Connection, write: KeyToRegister, epoch: number, tokenId: Guid | null): void {
  c.run(
    `INSERT INTO MPE_ClientKeys (ClientId, Epoch, Kid, PublicJwk, RegistrationId, ProvenByKid, TokenId,
       RegisteredAt, ChannelKind, ChannelSubject, ApprovedBy) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    write.clientId,
    epoch,
    write.kid,
    write.publicJwk,
    write.registrationId,
    write.provenByKid,
    tokenId,
    write.atMs,
    write.channel?.kind ?? null,
    write.channel?.subject ?? null,
    write.approvedBy ?? null,
  );
  // It may have waited for an operator meanwhile.
  c.run('DELETE FROM MPE_PendingRegistrations WHERE ClientId = ? AND Kid = ?', write.clientId, write.kid);
}
