import type { Guid } from '../../../protocol/guid.js';
import { auditHash, type AuditWrite, type AuditWritten, type ExposureWrite } from '../../disclosure-store.js';
import { oneOpeningAKey } from '../../one-opening-a-key.js';
import { bigInteger, bytes, integer } from '../columns.js';
import type { Connection } from '../connection.js';
import { bigintOf, bytesOf, guidOf, textOf, timeOf, wordOf } from '../parameters.js';
import { openRotations } from '../rotation/open-rotations.js';
import { writeExposures } from '../rotation/write-exposures.js';
import { firstRow, type Session } from '../session.js';
import { auditTransaction } from './audit-transaction.js';

/** Ends the transaction of a request that is beyond the limit: nothing of it is written. */
export class LimitReached extends Error {
  /** @param shown - what the person was shown already */
  constructor(readonly shown: number) {
    super('the limit is reached');
  }
}

/** Writes an audit row and what goes with it. See {@link AuditWrite}. */
export function writeAudit(connection: Connection, write: AuditWrite): Promise<AuditWritten> {
  return limited(() => auditTransaction(connection, write.withinMs, (tx) => appendAudit(tx, write)));
}

/** Runs a transaction with {@link appendAudit} in it. */
export async function limited<T>(work: () => Promise<T>): Promise<T | AuditWritten> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LimitReached) return { kind: 'limited', shown: error.shown };
    throw error;
  }
}

/**
 * Writes an audit row and what goes with it, in the transaction of the caller.
 *
 * The head's row moves first, on condition that it stands where it was read. Of two writers the second
 * waits for the first and then finds that it does not: it reads again. From its own move on nobody
 * else writes to the chain, so that the count of the limit is exact.
 *
 * @throws LimitReached
 */
export async function appendAudit(tx: Session, write: AuditWrite): Promise<AuditWritten> {
  const { entry, exposures, limit } = write;
  for (;;) {
    const head = firstRow(await tx.query('SELECT Sequence, Hash FROM MPE_AuditHead WHERE Id = 1'));
    const previous = head === undefined ? Buffer.alloc(32) : bytes(head, 'Hash');
    const sequence = (head === undefined ? 0n : bigInteger(head, 'Sequence')) + 1n;
    const hash = auditHash(entry, sequence, previous);
    const chain = { sequence: bigintOf(sequence), hash: bytesOf(hash), previous: bytesOf(previous) };
    const [moved = [], counts = []] = await tx.query(MOVE_HEAD, {
      ...chain,
      ...{ actor: textOf(entry.actor), since: timeOf(limit?.sinceMs ?? entry.atMs) },
    });
    if (moved[0] === undefined || integer(moved[0], 'Moved') !== 1) continue;
    const shown = counts[0] === undefined ? 0 : integer(counts[0], 'Shown');
    if (limit !== null && shown >= limit.most) throw new LimitReached(shown);
    await tx.query(APPEND, {
      ...chain,
      ...{ at: timeOf(entry.atMs), source: textOf(entry.source), result: wordOf(entry.result) },
      ...{ helpdeskUser: textOf(entry.helpdeskUser), endUser: textOf(entry.endUser) },
      ...{ machine: textOf(entry.machine), keyType: textOf(entry.keyType), keyId: textOf(entry.keyId) },
      ...{ reason: textOf(entry.reason), ticket: textOf(entry.ticket), detail: textOf(entry.detail) },
      ...{ requestId: guidOf(entry.requestId), actor: textOf(entry.actor) },
    });
    return { kind: 'written', sequence, hash, rotations: await expose(tx, exposures, write, sequence) };
  }
}

/** The facts of exposures, and the rotations that they ask for. */
async function expose(
  tx: Session,
  exposures: readonly ExposureWrite[],
  { entry }: AuditWrite,
  auditSequence: bigint,
): Promise<{ keyId: Guid; volumeId: Guid; requestId: Guid }[]> {
  if (exposures.length === 0) return [];
  const { atMs, actor } = entry;
  await writeExposures(
    tx,
    exposures.map(({ exposureId, keyId, volumeId, rotation }) => ({
      ...{ exposureId, keyId, volumeId, atMs, cause: rotation.origin, actor, auditSequence },
    })),
  );
  const openings = exposures.map(
    ({ keyId, volumeId, rotation: { requestId, deadlineMs, notBeforeMs, origin } }) => ({
      ...{ requestId, deadlineMs, notBeforeMs, origin, volumeId, keyId },
      ...{ requestedBy: actor, atMs, evenAbsent: false },
    }),
  );
  const opened = await openRotations(tx, oneOpeningAKey(openings));
  return opened.flatMap(({ requestId, keyId, volumeId }) =>
    requestId === null ? [] : [{ keyId, volumeId, requestId }],
  );
}

const MOVE_HEAD = `
  UPDATE MPE_AuditHead SET Sequence = @sequence, Hash = @hash
  WHERE Id = 1 AND Sequence = @sequence - 1 AND Hash = @previous;
  SELECT COUNT(*) AS Moved FROM MPE_AuditHead WHERE Id = 1 AND Sequence = @sequence AND Hash = @hash;
  SELECT COUNT(*) AS Shown FROM MPE_Audit
  WHERE Actor = @actor AND HappenedAt >= @since AND Result = 'Successful'
    AND KeyType IN (N'Recovery Key Password', N'Recovery Key Package', N'TPM Password Hash');`;

const APPEND = `
  INSERT INTO MPE_Audit (Sequence, HappenedAt, Source, Result, HelpdeskUser, EndUser, Machine, KeyType, KeyId, Reason,
    Ticket, Detail, PreviousHash, Hash, RequestId, Actor)
  VALUES (@sequence, @at, @source, @result, @helpdeskUser, @endUser, @machine, @keyType, @keyId, @reason,
    @ticket, @detail, @previous, @hash, @requestId, @actor);`;
