import type { Guid } from '../../protocol/guid.js';
import type { MessageTrace } from '../site-store.js';
import type { Connection } from './connection.js';
import { deadLetterFromRow } from './dead-letters.js';
import { outcomeFromRow } from './outcomes.js';
import { quarantineFromRow } from './quarantine.js';

/** Everything the database has on a message id, of whichever client. */
export function traceMessage(c: Connection, messageId: Guid): MessageTrace {
  return c.snapshot(() => ({
    outcomes: c
      .all('SELECT * FROM MPE_Outcomes WHERE MessageId = ? ORDER BY ClientId', messageId)
      .map(outcomeFromRow),
    quarantined: c
      .all('SELECT * FROM MPE_Quarantine WHERE MessageId = ? ORDER BY ClientId', messageId)
      .map(quarantineFromRow),
    deadLetters: c
      .all('SELECT * FROM MPE_DeadLetters WHERE MessageId = ? ORDER BY ClientId', messageId)
      .map(deadLetterFromRow),
  }));
}
