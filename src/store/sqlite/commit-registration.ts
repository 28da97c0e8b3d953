import type { Guid } from '../../protocol/guid.js';
import type { RegistrationReason } from '../../protocol/vocabulary.js';
import type { RegistrationResult, RegistrationWrite } from '../site-store.js';
import { guid, integer, text } from './columns.js';
import type { Connection } from './connection.js';
import { flagClone } from './flag-clone.js';

/**
 * Commits a registration whose signature was verified, in one transaction.
 *
 * | client id | key            | token / proof              | answer                              |
 * |-----------|----------------|----------------------------|-------------------------------------|
 * | any       | another's      | any                        | KEY_IN_USE, the key's owner flagged |
 * | known     | another's      | by its current key         | KEY_IN_USE, both flagged as clones  |
 * | known     | its own        | any                        | ALREADY_REGISTERED, no use taken    |
 * | known     | new            | by its current key         | REGISTERED, new epoch               |
 * | known     | new            | anything else              | CLIENT_EXISTS                       |
 * | blocked   | any of its own | any                        | CLIENT_BLOCKED                      |
 * | new       | new            | token with a use left      | REGISTERED, epoch 1, one use taken  |
 * | new       | new            | none or a refused token    | TOKEN_REFUSED                       |
 */
export function commitRegistration(c: Connection, write: RegistrationWrite): RegistrationResult {
  return c.immediate(() => {
    const client = c.get('SELECT State, Epoch FROM MPE_Clients WHERE ClientId = ?', write.clientId);
    const key = c.get('SELECT ClientId, Epoch FROM MPE_ClientKeys WHERE Kid = ?', write.kid);
    const epoch = client === undefined ? 0 : integer(client, 'Epoch');

    if (key !== undefined && guid(key, 'ClientId') !== write.clientId) {
      const owner = guid(key, 'ClientId');
      flagClone(c, owner, integer(key, 'Epoch'), write.atMs, `its key was sent for client ${write.clientId}`);
      // The other client only where its own key vouches for it: a client id is no secret, and who
      // knows one must not be able to send that client into a new epoch.
      if (provenByCurrentKey(c, write, epoch)) {
        flagClone(c, write.clientId, epoch, write.atMs, `it sent the key of client ${owner}`);
      }
      return refused('KEY_IN_USE', epoch);
    }
    if (client !== undefined) {
      if (text(client, 'State') === 'BLOCKED') return refused('CLIENT_BLOCKED', epoch);
      if (key !== undefined) {
        return { status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: integer(key, 'Epoch') };
      }
      return provenByCurrentKey(c, write, epoch)
        ? newEpoch(c, write, epoch + 1)
        : refused('CLIENT_EXISTS', epoch);
    }
    const token = takeUse(c, write);
    return token === null ? refused('TOKEN_REFUSED', 0) : newClient(c, write, token);
  });
}

const refused = (reason: RegistrationReason, epoch: number): RegistrationResult => ({
  status: 'REFUSED',
  reason,
  epoch,
});

function provenByCurrentKey(c: Connection, write: RegistrationWrite, epoch: number): boolean {
  if (write.provenByKid === null) return false;
  const current = c.get(
    'SELECT Kid FROM MPE_ClientKeys WHERE ClientId = ? AND Epoch = ?',
    write.clientId,
    epoch,
  );
  return current !== undefined && text(current, 'Kid') === write.provenByKid;
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

function newClient(
  c: Connection,
  write: RegistrationWrite,
  token: { tokenId: Guid; tag: string },
): RegistrationResult {
  c.run(
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag,
       RegisteredAt) VALUES (?, 'ACTIVE', 1, ?, ?, ?, ?, ?, ?)`,
    write.clientId,
    write.machineName,
    write.domain,
    write.hardwareId,
    write.joinType,
    token.tag,
    write.atMs,
  );
  insertKey(c, write, 1, token.tokenId);
  return { status: 'REGISTERED', reason: 'NONE', epoch: 1 };
}

function newEpoch(c: Connection, write: RegistrationWrite, epoch: number): RegistrationResult {
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

function insertKey(c: Connection, write: RegistrationWrite, epoch: number, tokenId: Guid | null): void {
  c.run(
    `INSERT INTO MPE_ClientKeys (ClientId, Epoch, Kid, PublicJwk, RegistrationId, ProvenByKid, TokenId,
       RegisteredAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    write.clientId,
    epoch,
    write.kid,
    write.publicJwk,
    write.registrationId,
    write.provenByKid,
    tokenId,
    write.atMs,
  );
}
