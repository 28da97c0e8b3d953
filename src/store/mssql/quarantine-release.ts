import type { QuarantineRelease, QuarantineRow } from '../site-store.js';
import { again } from './again.js';
import type { MessageKey } from './message-key.js';
import { guidOf, intOf, rowsOf, timeOf, wordOf } from './parameters.js';
import { QUARANTINE_COLUMNS, quarantineFromRow } from './quarantine.js';
import { firstSet, type Session } from './session.js';

/** Quarantined messages whose reason no longer holds, the oldest first. */
export async function findReleasableQuarantine(
  session: Session,
  release: QuarantineRelease,
): Promise<QuarantineRow[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) ${QUARANTINE_COLUMNS} FROM MPE_Quarantine t
     WHERE (
         (t.Reason = 'SEALING_KEY_UNKNOWN' AND EXISTS (
           SELECT 1 FROM OPENJSON(@kids) WITH (Kid varchar(128) '$.k') s
           WHERE s.Kid COLLATE Latin1_General_BIN2 = t.Kid))
         OR (t.Reason IN ('CLIENT_UNKNOWN', 'SIGNING_KEY_UNKNOWN') AND EXISTS (
           SELECT 1 FROM MPE_ClientKeys k JOIN MPE_Clients n ON n.ClientId = k.ClientId
           WHERE k.ClientId = t.ClientId AND k.Kid = t.Kid AND n.State <> 'PENDING'))
         OR (t.Reason = 'BODY_TYPE_UNKNOWN' AND EXISTS (
           SELECT 1 FROM OPENJSON(@types) WITH (BodyType int '$.t') b WHERE b.BodyType = t.BodyType))
       )
       AND DATEADD(second, CASE WHEN t.Attempts < 60 THEN t.Attempts * 10 ELSE 600 END, t.LastAt) <= @now
       AND NOT EXISTS (SELECT 1 FROM MPE_DeadLetters d
                       WHERE d.ClientId = t.ClientId AND d.MessageId = t.MessageId)
     ORDER BY t.LastAt, t.ClientId, t.MessageId`,
    {
      kids: rowsOf(release.sealingKids.map((k) => ({ k }))),
      types: rowsOf(release.bodyTypes.map((t) => ({ t }))),
      now: timeOf(release.nowMs),
      limit: intOf(release.limit),
    },
  );
  return firstSet(sets).map(quarantineFromRow);
}

/** Removes a message that was decided without a row of its own, unless it was sealed anew since. */
export async function resolveQuarantined(session: Session, key: MessageKey, sealed: string): Promise<void> {
  await again('ending a quarantine', () =>
    session.query(
      'DELETE FROM MPE_Quarantine WHERE ClientId = @clientId AND MessageId = @messageId AND Sealed = @sealed',
      { clientId: guidOf(key.clientId), messageId: guidOf(key.messageId), sealed: wordOf(sealed) },
    ),
  );
}
