import type { Guid } from '../../protocol/guid.js';
import { decideRegistration, refused, TOKENS_ONLY } from '../registration-decision.js';
import type { RegistrationResult, RegistrationWrite } from '../site-store.js';
import { guid, text } from './columns.js';
import type { Connection } from './connection.js';
import { flagClone } from './flag-clone.js';
import { keepPending } from './pending-registrations.js';
import { newClient, newEpoch } from './register-key.js';
import { readFacts } from './registration-facts.js';

/** Commits a registration whose signature was verified, in one transaction; see decideRegistration. */
export function commitRegistration(c: Connection, write: RegistrationWrite): RegistrationResult {
  return c.immediate(() => {
    const decision = decideRegistration(readFacts(c, write.clientId, write.kid), write);
    switch (decision.do) {
      case 'answer':
        return decision.result;
      case 'flag': {
        const { owner, ownerEpoch, alsoClient, epoch } = decision;
        flagClone(c, owner, ownerEpoch, write.atMs, `its key was sent for client ${write.clientId}`);
        // The other client only where its own key vouches for it: a client id is no secret, and who
        // knows one must not be able to send that client into a new epoch.
        if (alsoClient) flagClone(c, write.clientId, epoch, write.atMs, `it sent the key of client ${owner}`);
        return refused('KEY_IN_USE', epoch);
      }
      case 'new-epoch':
        return newEpoch(c, { ...write, channel: decision.channel }, decision.epoch);
      case 'new-client': {
        const token = takeUse(c, write);
        if (token === null && !decision.channelAdmits) return refused('TOKEN_REFUSED', 0);
        return newClient(c, write, token ?? { tokenId: null, tag: '' });
      }
      case 'wait':
        return keepPending(c, write, decision.epoch, (write.admission ?? TOKENS_ONLY).pendingMax);
    }
  });
}

/** Takes one use by a conditional update: never more uses than allowed, whoever races. */
function takeUse(c: Connection, write: RegistrationWrite): { tokenId: Guid; tag: string } | null {
  if (write.enrolmentTokenHash === null) return null;
  const taken = c.get(
    `UPDATE MPE_EnrolmentTokens SET UsesLeft = UsesLeft - 1
     WHERE SecretHash = ? AND UsesLeft > 0 AND ExpiresAt > ? AND RevokedAt IS NULL
     RETURNING TokenId, Tag`,
    write.enrolmentTokenHash,
    write.atMs,
  );
  return taken === undefined ? null : { tokenId: guid(taken, 'TokenId'), tag: text(taken, 'Tag') };
}
