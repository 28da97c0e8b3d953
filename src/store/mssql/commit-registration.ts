/**
 * Commits a registration whose signature was verified. What is decided stands in
 * registration-decision.ts, for both stores.
 *
 * Why it is right while others register, under READ COMMITTED, with locking or with row versions:
 *  * What is decided about a known client or key rests on rows that only come to be. An epoch is
 *    written by a plain insert of (client, epoch) with its unique key: of two writers one meets the
 *    other's row, is rolled back and reads again.
 *  * A token lets in as many as it has uses: `lockToken` has the row to itself before it reads the
 *    uses, and one decrement follows. The check of UsesLeft stands behind it.
 *  * The facts are read again *after* the token is locked. The same registration, delivered twice,
 *    may have taken the last use a moment ago; its commit gave the lock, so its client is seen, and
 *    the answer is ALREADY_REGISTERED, not TOKEN_REFUSED (after which a client gives up).
 *  * Whoever is rolled back gives the use back. A lost answer of COMMIT is run again and finds its
 *    own client: ALREADY_REGISTERED, which is true.
 */
import {
  decideRegistration,
  refused,
  TOKENS_ONLY,
  type RegistrationDecision,
} from '../registration-decision.js';
import type { RegistrationResult, RegistrationWrite } from '../site-store.js';
import { again } from './again.js';
import type { Connection } from './connection.js';
import { lockToken, takeUse } from './enrolment-use.js';
import { flagClone } from './flag-clone.js';
import { newClient, newEpoch } from './insert-client.js';
import { keepPending } from './pending-registrations.js';
import { readFacts } from './registration-facts.js';
import type { Session } from './session.js';

/** Commits a registration, in one transaction where anything is written. */
export async function commitRegistration(
  connection: Connection,
  write: RegistrationWrite,
): Promise<RegistrationResult> {
  return again('committing a registration', async () => {
    const decision = decideRegistration(await readFacts(connection, write), write);
    if (decision.do === 'answer') return decision.result;
    return connection.transaction((tx) => carryOut(tx, write, decision));
  });
}

async function carryOut(
  tx: Session,
  write: RegistrationWrite,
  decision: RegistrationDecision,
): Promise<RegistrationResult> {
  switch (decision.do) {
    case 'answer':
      return decision.result;
    case 'flag': {
      const { owner, ownerEpoch, alsoClient, epoch } = decision;
      await flagClone(tx, owner, ownerEpoch, write.atMs, `its key was sent for client ${write.clientId}`);
      // The other client only where its own key vouches for it: a client id is no secret, and who
      // knows one must not be able to send that client into a new epoch.
      if (alsoClient)
        await flagClone(tx, write.clientId, epoch, write.atMs, `it sent the key of client ${owner}`);
      return refused('KEY_IN_USE', epoch);
    }
    case 'new-epoch':
      return newEpoch(tx, { ...write, channel: decision.channel }, decision.epoch);
    case 'new-client':
      return letIn(tx, write, decision.channelAdmits);
    case 'wait':
      return keepPending(tx, write, decision.epoch, (write.admission ?? TOKENS_ONLY).pendingMax);
  }
}

async function letIn(
  tx: Session,
  write: RegistrationWrite,
  channelAdmits: boolean,
): Promise<RegistrationResult> {
  const { enrolmentTokenHash: hash } = write;
  const token = hash === null ? null : await lockToken(tx, hash, write.atMs);
  const now = decideRegistration(await readFacts(tx, write), write);
  if (now.do !== 'new-client') return carryOut(tx, write, now);
  if (token === null)
    return channelAdmits ? newClient(tx, write, { tokenId: null, tag: '' }) : refused('TOKEN_REFUSED', 0);
  await takeUse(tx, token);
  return newClient(tx, write, token);
}
