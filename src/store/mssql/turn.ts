import { TURN_MISSED } from './errors.js';
import { intOf, wordOf } from './parameters.js';
import type { Session } from './session.js';

/** What is done by one transaction of the whole site at a time. */
export type Turn = 'mpe/quarantine' | 'mpe/dead-letters' | 'mpe/site-documents' | 'mpe/migrate';

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
 * A turn that did not come is an error of the batch (51007, transient), not an answer that is read:
 * with XACT_ABORT it ends the transaction. It must be one for Babelfish, whose sp_getapplock leaves
 * what it caught on a stack that only an error empties, and whose server ends at the fifth. The
 * database is in the name for Babelfish as well: there a lock is one of the whole server.
 */
export async function takeTurn(tx: Session, turn: Turn): Promise<void> {
  await tx.query(
    `DECLARE @granted int;
     DECLARE @resource nvarchar(255) = @turn + N'/' + DB_NAME();
     EXEC @granted = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive',
       @LockOwner = 'Transaction', @LockTimeout = @wait;
     IF @granted < 0
     BEGIN
       DECLARE @missed nvarchar(200) = N'the turn ' + @resource + N' did not come, sp_getapplock answered '
         + CAST(@granted AS nvarchar(11));
       THROW ${TURN_MISSED}, @missed, 1;
     END`,
    { turn: wordOf(turn), wait: intOf(WAIT_MS) },
  );
}
