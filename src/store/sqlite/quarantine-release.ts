import type { Guid } from '../../protocol/guid.js';
import type { QuarantineRelease, QuarantineRow } from '../site-store.js';
import type { Connection } from './connection.js';
import { quarantineFromRow } from './quarantine.js';

/** Quarantined messages whose reason no longer holds, the oldest first. */
export function findReleasableQuarantine(c: Connection, release: QuarantineRelease): QuarantineRow[] {
  return c
    .all(
      `SELECT q.* FROM MPE_Quarantine q
       WHERE (
           (q.Reason = 'SEALING_KEY_UNKNOWN' AND q.Kid IN (SELECT value FROM json_each(?)))
           OR (q.Reason IN ('CLIENT_UNKNOWN', 'SIGNING_KEY_UNKNOWN') AND EXISTS (
             SELECT 1 FROM MPE_ClientKeys k JOIN MPE_Clients n ON n.ClientId = k.ClientId
             WHERE k.ClientId = q.ClientId AND k.Kid = q.Kid AND n.State <> 'PENDING'))
           OR (q.Reason = 'BODY_TYPE_UNKNOWN' AND q.BodyType IN (SELECT value FROM json_each(?)))
         )
         AND q.LastAt + min(q.Attempts, 60) * 10000 <= ?
         AND NOT EXISTS (SELECT 1 FROM MPE_DeadLetters d
                         WHERE d.ClientId = q.ClientId AND d.MessageId = q.MessageId)
       ORDER BY q.LastAt, q.ClientId, q.MessageId LIMIT ?`,
      JSON.stringify(release.sealingKids),
      JSON.stringify(release.bodyTypes),
      release.nowMs,
      release.limit,
    )
    .map(quarantineFromRow);
}

/** Removes a message that was decided without a row of its own, unless it was sealed anew since. */
export function resolveQuarantined(c: Connection, clientId: Guid, messageId: Guid, sealed: string): void {
  c.run(
    'DELETE FROM MPE_Quarantine WHERE ClientId = ? AND MessageId = ? AND Sealed = ?',
    clientId,
    messageId,
    sealed,
  );
}
