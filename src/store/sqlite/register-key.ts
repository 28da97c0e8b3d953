import type { Guid } from '../../protocol/guid.js';
import type { RegistrationChannel, RegistrationResult, RegistrationWrite } from '../site-store.js';
import type { Connection } from './connection.js';

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
