import type { Guid } from '../../../protocol/guid.js';
import { auditHash, type AuditWrite, type AuditWritten, type ExposureWrite } from '../../disclosure-store.js';
import { bigInteger, bytes, integer } from '../columns.js';
import type { Connection } from '../connection.js';
import { openRotation } from '../rotation/open-rotation.js';
import { writeExposure } from '../rotation/write-exposure.js';

/**
 * Writes an audit row and what goes with it, in the transaction of the caller.
 *
 * The order is the rule: nothing of a disclosure is written before its audit row.
 *
 * @param more written in the same transaction, behind the audit row
 */
export function appendAudit(c: Connection, write: AuditWrite, more?: () => void): AuditWritten {
  const { entry, exposures, limit } = write;
  if (limit !== null) {
    const shown = shownSince(c, entry.actor, limit.sinceMs);
    if (shown >= limit.most) return { kind: 'limited', shown };
  }
  const head = c.get('SELECT Sequence, Hash FROM MPE_AuditHead WHERE Id = 1');
  const previous = head === undefined ? Buffer.alloc(32) : bytes(head, 'Hash');
  const sequence = (head === undefined ? 0n : bigInteger(head, 'Sequence')) + 1n;
  const hash = auditHash(entry, sequence, previous);
  c.run('UPDATE MPE_AuditHead SET Sequence = ?, Hash = ? WHERE Id = 1', sequence, hash);
  c.run(
    `INSERT INTO MPE_Audit (Sequence, HappenedAt, Source, Result, HelpdeskUser, EndUser, Machine, KeyType, KeyId, Reason,
       Ticket, Detail, PreviousHash, Hash, RequestId, Actor)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[sequence, entry.atMs, entry.source, entry.result, entry.helpdeskUser, entry.endUser, entry.machine],
    ...[entry.keyType, entry.keyId, entry.reason, entry.ticket, entry.detail, previous, hash],
    ...[entry.requestId, entry.actor],
  );
  const rotations = exposures.flatMap((exposure) => expose(c, exposure, write, sequence));
  more?.();
  return { kind: 'written', sequence, hash, rotations };
}

/** {@link appendAudit} in a transaction of its own. */
export function writeAudit(c: Connection, write: AuditWrite): AuditWritten {
  return c.immediate(() => appendAudit(c, write));
}

/** Successful requests for keys of an actor. */
function shownSince(c: Connection, actor: string, sinceMs: number): number {
  const row = c.get(
    `SELECT count(*) AS Shown FROM MPE_Audit
     WHERE Actor = ? AND HappenedAt >= ? AND Result = 'Successful'
       AND KeyType IN ('Recovery Key Password', 'Recovery Key Package', 'TPM Password Hash')`,
    actor,
    sinceMs,
  );
  return row === undefined ? 0 : integer(row, 'Shown');
}

/** The facts of an exposure, and the rotation that it asks for. */
function expose(
  c: Connection,
  { exposureId, keyId, volumeId, rotation }: ExposureWrite,
  { entry }: AuditWrite,
  auditSequence: bigint,
): { keyId: Guid; volumeId: Guid; requestId: Guid }[] {
  const { atMs, actor } = entry;
  const { origin: cause, ...times } = rotation;
  writeExposure(c, { exposureId, keyId, volumeId, atMs, cause, actor, auditSequence });
  const asked = { ...times, volumeId, keyId, origin: cause, requestedBy: actor, atMs, evenAbsent: false };
  const { requestId } = openRotation(c, asked);
  return requestId === null ? [] : [{ keyId, volumeId, requestId }];
}
