import { MpeError } from '../../ops/errors.js';
import { integer } from './columns.js';
import { intOf, wordOf } from './parameters.js';
import { firstRow, type Session } from './session.js';

/** What is done by one transaction of the whole site at a time. */
export type Turn = 'mpe/quarantine' | 'mpe/dead-letters' | 'mpe/site-documents';

/** How long a transaction waits for its turn. */
const WAIT_MS = 5000;

/**
 * Waits for the turn and has it until the transaction ends (an application lock of this database).
 * For bounds on a count, which no constraint can keep.
 *
 * Why a count is exact after it: whoever had the turn before gave it back by its COMMIT, so its rows
 * are committed, and each statement under READ COMMITTED sees what was committed before the
 * statement began, with locking and with row versions alike.
 *
 * @throws MpeError STORE_TRANSIENT where the turn did not come in time, or in a deadlock
 */
export async function takeTurn(tx: Session, turn: Turn): Promise<void> {
  const sets = await tx.query(
    `DECLARE @granted int;
     EXEC @granted = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive',
       @LockOwner = 'Transaction', @LockTimeout = @wait;
     SELECT @granted AS Granted;`,
    { resource: wordOf(turn), wait: intOf(WAIT_MS) },
  );
  const row = firstRow(sets);
  const granted = row === undefined ? -999 : integer(row, 'Granted');
  if (granted < 0) {
    throw new MpeError(
      'STORE_TRANSIENT',
      `the turn ${turn} did not come (sp_getapplock answered ${granted})`,
    );
  }
}
