import type { Guid } from '../../protocol/guid.js';
import { JOIN_TYPES } from '../../protocol/vocabulary.js';
import { PENDING_KEPT_MS } from '../pending-room.js';
import { decideApproval, refused } from '../registration-decision.js';
import type { PendingRegistrationRow, RegistrationResult, RegistrationWrite } from '../site-store.js';
import { again } from './again.js';
import { channelOf, guid, text, time, word } from './columns.js';
import type { Connection } from './connection.js';
import { newClient, newEpoch } from './insert-client.js';
import { guidOf, intOf, textOf, timeOf, wordOf } from './parameters.js';
import { readFacts } from './registration-facts.js';
import { firstRow, firstSet, type Session } from './session.js';

const COLUMNS = `ClientId, Kid, PublicJwk, RegistrationId, MachineName, Domain, HardwareId, JoinType,
  ChannelKind, ChannelSubject, FirstAskedAt, LastAskedAt`;

/**
 * Keeps a registration for an operator, or notes that it was asked for again. The caller has the
 * transaction, and runs it again where a rival kept the same. Rivals that keep others may each pass
 * the bound by one.
 */
export async function keepPending(
  tx: Session,
  write: RegistrationWrite,
  epoch: number,
  max: number,
): Promise<RegistrationResult> {
  const kept = firstRow(
    await tx.query(
      `UPDATE MPE_PendingRegistrations SET LastAskedAt = @at WHERE ClientId = @clientId AND Kid = @kid;
       DELETE FROM MPE_PendingRegistrations WHERE LastAskedAt < @stale;
       INSERT INTO MPE_PendingRegistrations (${COLUMNS})
       SELECT @clientId, @kid, @publicJwk, @registrationId, @machineName, @domain, @hardwareId, @joinType,
         @channelKind, @channelSubject, @at, @at
       WHERE NOT EXISTS (SELECT 1 FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid)
         AND (SELECT COUNT(*) FROM MPE_PendingRegistrations) < @max;
       SELECT Kid FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid;`,
      {
        clientId: guidOf(write.clientId),
        kid: wordOf(write.kid),
        publicJwk: textOf(write.publicJwk),
        registrationId: guidOf(write.registrationId),
        machineName: textOf(write.machineName),
        domain: textOf(write.domain),
        hardwareId: textOf(write.hardwareId),
        joinType: wordOf(write.joinType),
        channelKind: wordOf(write.channel?.kind ?? null),
        channelSubject: wordOf(write.channel?.subject ?? null),
        at: timeOf(write.atMs),
        stale: timeOf(write.atMs - PENDING_KEPT_MS),
        max: intOf(max),
      },
    ),
  );
  return kept === undefined ? refused('TEMPORARY', epoch) : { status: 'PENDING', reason: 'NONE', epoch };
}

/** What waits, the longest first. */
export async function readPendingRegistrations(
  session: Session,
  limit: number,
): Promise<PendingRegistrationRow[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) ${COLUMNS} FROM MPE_PendingRegistrations ORDER BY FirstAskedAt, ClientId, Kid`,
    { limit: intOf(limit) },
  );
  return firstSet(sets).map((row) => ({
    clientId: guid(row, 'ClientId'),
    kid: text(row, 'Kid'),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    joinType: word(row, 'JoinType', JOIN_TYPES),
    channel: channelOf(row),
    firstAskedAtMs: time(row, 'FirstAskedAt'),
    lastAskedAtMs: time(row, 'LastAskedAt'),
  }));
}

/** Registers what waits, in one transaction; null where nothing waits. */
export async function approveRegistration(
  connection: Connection,
  clientId: Guid,
  kid: string,
  approval: { readonly by: string; readonly tag: string; readonly atMs: number },
): Promise<RegistrationResult | null> {
  return again('approving a registration', () =>
    connection.transaction(async (tx) => {
      const row = firstRow(
        await tx.query(
          `SELECT ${COLUMNS} FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid`,
          { clientId: guidOf(clientId), kid: wordOf(kid) },
        ),
      );
      if (row === undefined) return null;
      const decision = decideApproval(await readFacts(tx, { clientId, kid }), clientId);
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
          if (decision.drop) await rejectRegistration(tx, clientId, kid);
          return decision.result;
        case 'new-client':
          return newClient(tx, write, { tokenId: null, tag: approval.tag });
        case 'new-epoch':
          return newEpoch(tx, write, decision.epoch);
      }
    }),
  );
}

/** Drops what waits. */
export async function rejectRegistration(session: Session, clientId: Guid, kid: string): Promise<boolean> {
  const sets = await session.query(
    `SELECT Kid FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid;
     DELETE FROM MPE_PendingRegistrations WHERE ClientId = @clientId AND Kid = @kid;`,
    { clientId: guidOf(clientId), kid: wordOf(kid) },
  );
  return firstRow(sets) !== undefined;
}
