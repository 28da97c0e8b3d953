/**
 * Commits a registration whose signature was verified. The same table as on SQLite:
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
 *
 * Why it is right while others register, under READ COMMITTED, with locking or with row versions:
 *  * What is decided from facts alone (the first five lines) rests on rows that only come to be. An
 *    epoch is written by a plain insert of (client, epoch) with its unique key: of two writers one
 *    meets the other's row, is rolled back and reads again.
 *  * A token lets in as many as it has uses: `lockToken` has the row to itself before it reads the
 *    uses, and one decrement follows. The check of UsesLeft stands behind it.
 *  * The facts are read again *after* the token is locked. The same registration, delivered twice,
 *    may have taken the last use a moment ago; its commit gave the lock, so its client is seen, and
 *    the answer is ALREADY_REGISTERED, not TOKEN_REFUSED (after which a client gives up).
 *  * Whoever is rolled back gives the use back. A lost answer of COMMIT is run again and finds its
 *    own client: ALREADY_REGISTERED, which is true.
 */
import type { RegistrationReason } from '../../protocol/vocabulary.js';
import type { RegistrationResult, RegistrationWrite } from '../site-store.js';
import type { Guid } from '../../protocol/guid.js';
import { again } from './again.js';
import type { Connection } from './connection.js';
import { lockToken, takeUse, type UsableToken } from './enrolment-use.js';
import { flagClone } from './flag-clone.js';
import { guidOf, intOf, textOf, timeOf, wordOf } from './parameters.js';
import { readFacts, type RegistrationFacts } from './registration-facts.js';
import type { Session } from './session.js';

/** Commits a registration, in one transaction where anything is written. */
export async function commitRegistration(
  connection: Connection,
  write: RegistrationWrite,
): Promise<RegistrationResult> {
  return again('committing a registration', async () => {
    const facts = await readFacts(connection, write);
    const told = answerWithoutWriting(facts, write);
    if (told !== null) return told;
    const { enrolmentTokenHash } = write;
    if (facts.client !== null || facts.key !== null || enrolmentTokenHash === null) {
      return connection.transaction((tx) => writeDecided(tx, write, facts));
    }
    return connection.transaction(async (tx) => {
      const token = await lockToken(tx, enrolmentTokenHash, write.atMs);
      const now = await readFacts(tx, write);
      if (now.client !== null || now.key !== null)
        return answerWithoutWriting(now, write) ?? writeDecided(tx, write, now);
      return token === null ? refused('TOKEN_REFUSED', 0) : newClient(tx, write, token);
    });
  });
}

const refused = (reason: RegistrationReason, epoch: number): RegistrationResult => ({
  status: 'REFUSED',
  reason,
  epoch,
});

/** The answer where nothing is to be written; null where something is. */
function answerWithoutWriting(
  { client, key, proven }: RegistrationFacts,
  write: RegistrationWrite,
): RegistrationResult | null {
  if (key !== null && key.owner !== write.clientId) return null;
  if (client?.blocked === true) return refused('CLIENT_BLOCKED', client.epoch);
  // A key of this client's without the client: it was registered between the two reads.
  if (key !== null) return { status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: key.epoch };
  if (client !== null) return proven ? null : refused('CLIENT_EXISTS', client.epoch);
  return write.enrolmentTokenHash === null ? refused('TOKEN_REFUSED', 0) : null;
}

/** Writes what a key in use or a proven new key asks for; facts of any other kind never get here. */
async function writeDecided(
  tx: Session,
  write: RegistrationWrite,
  { client, key, proven }: RegistrationFacts,
): Promise<RegistrationResult> {
  const epoch = client?.epoch ?? 0;
  if (key === null) return newEpoch(tx, write, epoch + 1);
  await flagClone(tx, key.owner, key.epoch, write.atMs, `its key was sent for client ${write.clientId}`);
  // The other client only where its own key vouches for it: a client id is no secret, and who knows
  // one must not be able to send that client into a new epoch.
  if (proven)
    await flagClone(tx, write.clientId, epoch, write.atMs, `it sent the key of client ${key.owner}`);
  return refused('KEY_IN_USE', epoch);
}

async function newClient(
  tx: Session,
  write: RegistrationWrite,
  token: UsableToken,
): Promise<RegistrationResult> {
  await takeUse(tx, token);
  await tx.query(
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
     VALUES (@clientId, 'ACTIVE', 1, @machineName, @domain, @hardwareId, @joinType, @tag, @at);
     ${INSERT_KEY}`,
    { ...machine(write), ...clientKey(write, 1, token.tokenId), tag: textOf(token.tag) },
  );
  return { status: 'REGISTERED', reason: 'NONE', epoch: 1 };
}

/** The key first: its primary key (client, epoch) is what rivals meet. */
async function newEpoch(tx: Session, write: RegistrationWrite, epoch: number): Promise<RegistrationResult> {
  await tx.query(
    `${INSERT_KEY}
     UPDATE MPE_Clients SET Epoch = @epoch, MachineName = @machineName, Domain = @domain,
       HardwareId = @hardwareId, JoinType = @joinType
     WHERE ClientId = @clientId;`,
    { ...machine(write), ...clientKey(write, epoch, null) },
  );
  return { status: 'REGISTERED', reason: 'NONE', epoch };
}

const INSERT_KEY = `
  INSERT INTO MPE_ClientKeys (ClientId, Epoch, Kid, PublicJwk, RegistrationId, ProvenByKid, TokenId, RegisteredAt)
  VALUES (@clientId, @epoch, @kid, @publicJwk, @registrationId, @provenByKid, @tokenId, @at);`;

const machine = (write: RegistrationWrite) => ({
  clientId: guidOf(write.clientId),
  machineName: textOf(write.machineName),
  domain: textOf(write.domain),
  hardwareId: textOf(write.hardwareId),
  joinType: wordOf(write.joinType),
  at: timeOf(write.atMs),
});

const clientKey = (write: RegistrationWrite, epoch: number, tokenId: Guid | null) => ({
  epoch: intOf(epoch),
  kid: wordOf(write.kid),
  publicJwk: textOf(write.publicJwk),
  registrationId: guidOf(write.registrationId),
  provenByKid: wordOf(write.provenByKid),
  tokenId: guidOf(tokenId),
});
