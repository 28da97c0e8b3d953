import type { Guid } from '../../protocol/guid.js';
import type { RegistrationChannel, RegistrationResult, RegistrationWrite } from '../site-store.js';
import { guidOf, intOf, textOf, timeOf, wordOf } from './parameters.js';
import type { Session } from './session.js';

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
export async function newClient(
  tx: Session,
  write: KeyToRegister,
  by: { readonly tokenId: Guid | null; readonly tag: string },
): Promise<RegistrationResult> {
  await tx.query(
    `INSERT INTO MPE_Clients (ClientId, State, Epoch, MachineName, Domain, HardwareId, JoinType, Tag, RegisteredAt)
     VALUES (@clientId, 'ACTIVE', 1, @machineName, @domain, @hardwareId, @joinType, @tag, @at);
     ${INSERT_KEY}`,
    { ...machine(write), ...clientKey(write, 1, by.tokenId), tag: textOf(by.tag) },
  );
  return { status: 'REGISTERED', reason: 'NONE', epoch: 1 };
}

/** Registers a new key of a known client. The key first: its primary key is what rivals meet. */
export async function newEpoch(
  tx: Session,
  write: KeyToRegister,
  epoch: number,
): Promise<RegistrationResult> {
  await tx.query(
    `${INSERT_KEY}
     UPDATE MPE_Clients SET Epoch = @epoch, MachineName = @machineName, Domain = @domain,
       HardwareId = @hardwareId, JoinType = @joinType
     WHERE ClientId = @clientId;`,
    { ...machine(write), ...clientKey(write, epoch, null) },
  );
  return { status: 'REGISTERED', reason: 'NONE', epoch };
}

/** The key; what waited for an operator under it waits no more. */
const INSERT_KEY = `
  INSERT INTO MPE_ClientKeys (ClientId, Epoch, Kid, PublicJwk, RegistrationId, ProvenByKid, TokenId, RegisteredAt,
    ChannelKind, ChannelSubject, ApprovedBy)
  VALUES (@clientId, @epoch, @kid, @publicJwk, @registrationId, @provenByKid, @tokenId, @at,
    @channelKind, @channelSubject, @approvedBy);
  DELETE FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid;`;

const machine = (write: KeyToRegister) => ({
  clientId: guidOf(write.clientId),
  machineName: textOf(write.machineName),
  domain: textOf(write.domain),
  hardwareId: textOf(write.hardwareId),
  joinType: wordOf(write.joinType),
  at: timeOf(write.atMs),
});

const clientKey = (write: KeyToRegister, epoch: number, tokenId: Guid | null) => ({
  epoch: intOf(epoch),
  kid: wordOf(write.kid),
  publicJwk: textOf(write.publicJwk),
  registrationId: guidOf(write.registrationId),
  provenByKid: wordOf(write.provenByKid),
  tokenId: guidOf(tokenId),
  channelKind: wordOf(write.channel?.kind ?? null),
  channelSubject: wordOf(write.channel?.subject ?? null),
  approvedBy: textOf(write.approvedBy ?? null),
});
