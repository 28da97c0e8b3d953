import type { Guid } from '../protocol/guid.js';
import type { RegistrationReason } from '../protocol/vocabulary.js';
import type { Admission, RegistrationChannel, RegistrationResult, RegistrationWrite } from './rows.js';

/** What decides over a registration, as a store reads it. */
export interface RegistrationFacts {
  /** Null for an unknown client id. */
  readonly client: { readonly blocked: boolean; readonly epoch: number } | null;
  /** Who registered the key that the registration brings; null for nobody. */
  readonly key: { readonly owner: Guid; readonly epoch: number } | null;
  /** The client's current key and the certificate or device that it came with; null for none. */
  readonly current: { readonly kid: string; readonly channel: RegistrationChannel | null } | null;
}

/** What a store has to do. */
export type RegistrationDecision =
  /** Nothing is written. */
  | { readonly do: 'answer'; readonly result: RegistrationResult }
  /** KEY_IN_USE: flag the owner as a clone, and this client too where its own key vouches for it. */
  | {
      readonly do: 'flag';
      readonly owner: Guid;
      readonly ownerEpoch: number;
      readonly alsoClient: boolean;
      readonly epoch: number;
    }
  /** A new key for a known client. */
  | { readonly do: 'new-epoch'; readonly epoch: number; readonly channel: RegistrationChannel | null }
  /** A new client: take a use of its token; without one left, let it in only where its channel may. */
  | { readonly do: 'new-client'; readonly channelAdmits: boolean }
  /** Keep it for an operator. */
  | { readonly do: 'wait'; readonly epoch: number };

/** What a store has to do with a registration that an operator approves. */
export type ApprovalDecision =
  /** Nothing is registered; `drop`: it needs to wait no longer. */
  | { readonly do: 'answer'; readonly result: RegistrationResult; readonly drop: boolean }
  | { readonly do: 'new-client' }
  | { readonly do: 'new-epoch'; readonly epoch: number };

/** Lets tokens in and nothing else: what is not said is not allowed. */
export const TOKENS_ONLY: Admission = { channels: [], channelRenews: false, approval: false, pendingMax: 0 };

/**
 * Decides over a registration whose signature was verified. The first line that fits counts:
 *
 * | client id | key            | token / proof                                     | answer                              |
 * |-----------|----------------|---------------------------------------------------|-------------------------------------|
 * | any       | another's      | any                                               | KEY_IN_USE, the key's owner flagged |
 * | known     | another's      | by its current key                                | KEY_IN_USE, both flagged as clones  |
 * | blocked   | any            | any                                               | CLIENT_BLOCKED                      |
 * | known     | its own        | any                                               | ALREADY_REGISTERED, no use taken    |
 * | known     | new            | by its current key                                | REGISTERED, new epoch               |
 * | known     | new            | signed by the certificate key that it came with   | REGISTERED, new epoch               |
 * | known     | new            | the gateway says: its certificate or device       | as `channelRenews`, else PENDING    |
 * | known     | new            | anything else                                     | as `approval`: PENDING, else CLIENT_EXISTS |
 * | new       | new            | token with a use left                             | REGISTERED, epoch 1, one use taken  |
 * | new       | new            | a channel of `channels` names this client         | REGISTERED, epoch 1                 |
 * | new       | new            | a refused token                                   | TOKEN_REFUSED                       |
 * | new       | new            | none                                              | as `approval`: PENDING, else TOKEN_REFUSED |
 *
 * So a token takes over nothing: no line that knows the client id asks for one. And a gateway's word
 * alone makes new clients, never a new key of a known one (unless an operator says so): else a stolen
 * gateway could sign as every machine.
 */
export function decideRegistration(facts: RegistrationFacts, write: RegistrationWrite): RegistrationDecision {
  const { client, key, current } = facts;
  const admission = write.admission ?? TOKENS_ONLY;
  const epoch = client?.epoch ?? 0;
  const proven = write.provenByKid !== null && write.provenByKid === current?.kid;

  if (key !== null && key.owner !== write.clientId)
    return { do: 'flag', owner: key.owner, ownerEpoch: key.epoch, alsoClient: proven, epoch };
  if (client?.blocked === true) return refuse('CLIENT_BLOCKED', epoch);
  // A key of this client's without the client: it was registered between two reads.
  if (key !== null) return answer({ status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: key.epoch });

  const channel = write.channel ?? null;
  if (client !== null) {
    const claimed = sameChannel(channel, current?.channel ?? null);
    const certified = isCertificate(current?.channel ?? null, write.certificateSubject ?? null);
    if (proven || certified || (claimed && admission.channelRenews))
      return { do: 'new-epoch', epoch: epoch + 1, channel: channel ?? current?.channel ?? null };
    return mayWait(admission, claimed) ? { do: 'wait', epoch } : refuse('CLIENT_EXISTS', epoch);
  }
  const channelAdmits = channel !== null && admission.channels.includes(channel.kind);
  if (channelAdmits || write.enrolmentTokenHash !== null) return { do: 'new-client', channelAdmits };
  return mayWait(admission, false) ? { do: 'wait', epoch: 0 } : refuse('TOKEN_REFUSED', 0);
}

/**
 * Decides over what waited, when an operator approves it: much may have come to be since. The first
 * line that fits counts:
 *
 * | client id | key       | answer                             | goes on to wait |
 * |-----------|-----------|------------------------------------|-----------------|
 * | any       | another's | KEY_IN_USE                         | yes             |
 * | blocked   | any       | CLIENT_BLOCKED                     | yes             |
 * | known     | its own   | ALREADY_REGISTERED                 | no              |
 * | new       | new       | REGISTERED, epoch 1                | no              |
 * | known     | new       | REGISTERED, new epoch              | no              |
 *
 * What is refused goes on to wait until the operator rejects it or its client asks no more: a client
 * that is unblocked can be approved then.
 */
export function decideApproval(
  facts: Pick<RegistrationFacts, 'client' | 'key'>,
  clientId: Guid,
): ApprovalDecision {
  const { client, key } = facts;
  const epoch = client?.epoch ?? 0;
  if (key !== null && key.owner !== clientId) return kept(refused('KEY_IN_USE', epoch));
  if (client?.blocked === true) return kept(refused('CLIENT_BLOCKED', epoch));
  if (key !== null) {
    const result = { status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: key.epoch } as const;
    return { do: 'answer', result, drop: true };
  }
  return client === null ? { do: 'new-client' } : { do: 'new-epoch', epoch: epoch + 1 };
}

const kept = (result: RegistrationResult): ApprovalDecision => ({ do: 'answer', result, drop: false });

/** An answer that refuses. */
export function refused(reason: RegistrationReason, epoch: number): RegistrationResult {
  return { status: 'REFUSED', reason, epoch };
}

const answer = (result: RegistrationResult): RegistrationDecision => ({ do: 'answer', result });
const refuse = (reason: RegistrationReason, epoch: number): RegistrationDecision =>
  answer(refused(reason, epoch));

/** A claim of the client's own channel may always wait: strangers cannot make it, so they fill nothing. */
function mayWait(admission: Admission, claimed: boolean): boolean {
  return admission.pendingMax > 0 && (admission.approval || claimed);
}

function sameChannel(a: RegistrationChannel | null, b: RegistrationChannel | null): boolean {
  return a !== null && b !== null && a.kind === b.kind && a.subject === b.subject;
}

function isCertificate(channel: RegistrationChannel | null, subject: string | null): boolean {
  return channel?.kind === 'client-certificate' && channel.subject === subject;
}
