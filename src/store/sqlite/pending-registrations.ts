import type { Guid } from '../../protocol/guid.js';
import { JOIN_TYPES } from '../../protocol/vocabulary.js';
import { PENDING_KEPT_MS } from '../pending-room.js';
import { decideApproval, refused } from '../registration-decision.js';
import type { PendingRegistrationRow, RegistrationResult, RegistrationWrite } from '../site-store.js';
import { channelOf, guid, integer, text, word } from './columns.js';
import type { Connection } from './connection.js';
import { newClient, newEpoch } from './register-key.js';
import { readFacts } from './registration-facts.js';

/** Keeps a registration for an operator, or notes that it was asked for again. The caller has the transaction. */
export function keepPending(
  c: Connection,
  write: RegistrationWrite,
  epoch: number,
  max: number,
): RegistrationResult {
  const pending: RegistrationResult = { status: 'PENDING', reason: 'NONE', epoch };
  const asked = c.run(
    'UPDATE MPE_PendingRegistrations SET LastAskedAt = ? WHERE ClientId = ? AND Kid = ?',
    write.atMs,
    write.clientId,
    write.kid,
  );
  if (asked > 0) return pending;
  c.run('DELETE FROM MPE_PendingRegistrations WHERE LastAskedAt < ?', write.atMs - PENDING_KEPT_MS);
  const kept = c.run(
    `INSERT INTO MPE_PendingRegistrations (ClientId, Kid, PublicJwk, RegistrationId, MachineName, Domain,
       HardwareId, JoinType, ChannelKind, ChannelSubject, FirstAskedAt, LastAskedAt)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
     WHERE (SELECT COUNT(*) FROM MPE_PendingRegistrations) < ?`,
    write.clientId,
    write.kid,
    write.publicJwk,
    write.registrationId,
    write.machineName,
    write.domain,
    write.hardwareId,
    write.joinType,
    write.channel?.kind ?? null,
    write.channel?.subject ?? null,
    write.atMs,
    write.atMs,
    max,
  );
  return kept > 0 ? pending : refused('TEMPORARY', epoch);
}

/** What waits, the longest first. */
export function readPendingRegistrations(c: Connection, limit: number): PendingRegistrationRow[] {
  return c
    .all('SELECT * FROM MPE_PendingRegistrations ORDER BY FirstAskedAt, ClientId, Kid LIMIT ?', limit)
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      kid: text(row, 'Kid'),
      machineName: text(row, 'MachineName'),
      domain: text(row, 'Domain'),
      hardwareId: text(row, 'HardwareId'),
      joinType: word(row, 'JoinType', JOIN_TYPES),
      channel: channelOf(row),
      firstAskedAtMs: integer(row, 'FirstAskedAt'),
      lastAskedAtMs: integer(row, 'LastAskedAt'),
    }));
}

/** Registers what waits, in one transaction; null where nothing waits. */
export function approveRegistration(
  c: Connection,
  clientId: Guid,
  kid: string,
  approval: { readonly by: string; readonly tag: string; readonly atMs: number },
): RegistrationResult | null {
  return c.immediate(() => {
    const row = c.get('SELECT * FROM MPE_PendingRegistrations WHERE ClientId = ? AND Kid = ?', clientId, kid);
    if (row === undefined) return null;
    const decision = decideApproval(readFacts(c, clientId, kid), clientId);
    const write = {
      clientId,
      kid,
      publicJwk: text(row, 'PublicJwk'),
      registrationId: guid(row, 'RegistrationId'),
      machineName: text(row, 'MachineName'),
      domain: text(row, 'Domain'),
      hardwareId: text(row, 'HardwareId'),
      joinType: word(row, 'JoinType', JOIN_TYPES),
      channel: channelOf(row),
      provenByKid: null,
      approvedBy: approval.by,
      atMs: approval.atMs,
    };
    switch (decision.do) {
      case 'answer':
        if (decision.drop) rejectRegistration(c, clientId, kid);
        return decision.result;
      case 'new-client':
        return newClient(c, write, { tokenId: null, tag: approval.tag });
      case 'new-epoch':
        return newEpoch(c, write, decision.epoch);
    }
  });
}

/** Drops what waits. */
export function rejectRegistration(c: Connection, clientId: Guid, kid: string): boolean {
  return c.run('DELETE FROM MPE_PendingRegistrations WHERE ClientId = ? AND Kid = ?', clientId, kid) > 0;
}
