import type { Guid } from '../../protocol/guid.js';
import type { MessageTrace } from '../site-store.js';
import { DEAD_LETTER_COLUMNS, deadLetterFromRow } from './dead-letters.js';
import { byClient } from './message-key.js';
import { OUTCOME_COLUMNS, outcomeFromRow } from './outcomes.js';
import { guidOf } from './parameters.js';
import { QUARANTINE_COLUMNS, quarantineFromRow } from './quarantine.js';
import type { Session } from './session.js';

/**
 * Everything the database has on a message id, of whichever client. What is kept is read before
 * what is decided: a message that is decided in between shows in both places, never in none.
 */
export async function traceMessage(session: Session, messageId: Guid): Promise<MessageTrace> {
  const [quarantined = [], dead = [], outcomes = []] = await session.query(
    `SELECT ${QUARANTINE_COLUMNS} FROM MPE_Quarantine t WHERE t.MessageId = @id;
     SELECT ${DEAD_LETTER_COLUMNS} FROM MPE_DeadLetters t WHERE t.MessageId = @id;
     SELECT ${OUTCOME_COLUMNS} FROM MPE_Outcomes t WHERE t.MessageId = @id;`,
    { id: guidOf(messageId) },
  );
  return {
    outcomes: [...outcomes].sort(byClient).map(outcomeFromRow),
    quarantined: [...quarantined].sort(byClient).map(quarantineFromRow),
    deadLetters: [...dead].sort(byClient).map(deadLetterFromRow),
  };
}
