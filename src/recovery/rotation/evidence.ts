/**
 * From what clients sent to the facts that a state rests on. Pure, and the only place that reads E1 and
 * E2; the worker's SQL (`classify`) reads E1 the same way for one client, to know when to stop telling it.
 *
 * How it is read, and why
 *  * *Holders* are the clients that had proved the key when it was exposed. Who proves it later may have
 *    it from whoever was shown it, so only the machine itself brings E1 and E2, and as long as one of
 *    them lists the key nothing is completed. Two exceptions: a drive that moves, by the word of all of
 *    these (nobody else's), where the next holder counts as well; and a key that nobody had proved then.
 *    Who sends another password under the same key ID afterwards proves nothing about this key.
 *    Where several passwords were there under one key ID (a conflict), each needs its own evidence: a
 *    client that made one up can hold a rotation open, never close it.
 *  * *After the exposure* is a comparison of ranks: above the highest rank that the exposure recorded
 *    of that client. A client without a recorded rank proved the key after the exposure, and what it sent
 *    since that proof counts. No clock decides.
 *  * *New* is a key of the volume that no client had proven at or below its recorded rank: a second
 *    protector that was there before does not replace the exposed one, which must still be removed.
 */
import { assertNever } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type {
  Place,
  RotationClaim,
  RotationFacts,
  RotationHolder,
  RotationVolumeKey,
} from '../../store/rotation-store.js';
import type { RotationEvidence } from './state.js';

/** Evidence with what people want to see of it. */
export interface ReadEvidence extends RotationEvidence {
  /** The key ID that takes the place of the exposed one: committed, or else reported or claimed. */
  readonly newKeyId: Guid | null;
  /** The newest claim of a holder since the exposure. */
  readonly claim: RotationClaim | null;
  /** Those whose evidence counts, the newest report first. */
  readonly holders: readonly RotationHolder[];
}

/** Compares two places of one client: negative where `a` comes first. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  return a.sequence === b.sequence ? 0 : a.sequence < b.sequence ? -1 : 1;
}

/** Reads the evidence of a request. */
export function evidenceOf(facts: RotationFacts): ReadEvidence {
  const { request, keys } = facts;
  const { holders, moves } = holdersOf(facts);
  const fresh = keys.filter((key) => !key.exposed && isNew(key, facts.holders));
  const groups = [...new Set(holders.map((one) => one.secretId))].map((secretId) =>
    holders.filter((one) => one.secretId === secretId),
  );
  const committed = groups.map((group) => firstCommitted(group, fresh));
  const claims = facts.claims.filter((claim) =>
    holders.some((holder) => holder.clientId === claim.clientId && isAfter(holder, claim)),
  );
  const claim = claims.at(-1) ?? null;
  const newKeyCommitted = groups.length > 0 && committed.every((key) => key !== null);
  const reported = reportedUncommitted(holders, facts);
  const claimed = claimedUncommitted(claim, facts);
  const exposedKeyGone =
    groups.length > 0 && groups.every((group) => group.some((one) => isGone(one, facts)));
  return {
    closed: request.closedAs,
    newKeyCommitted,
    exposedKeyGone,
    heldElsewhere:
      exposedKeyGone && holders.some((one) => isHeld(one, facts) && (!moves || isHeldSince(one, committed))),
    osVolumeReplaced: isReplaced(holders, facts),
    newKeyUncommitted: !newKeyCommitted && (reported !== null || claimed.uncommitted),
    failed: claim?.outcome === 'FAILED',
    delivered: facts.deliveries.some(({ clientId }) => holders.some((one) => one.clientId === clientId)),
    newKeyId: committed.find((key) => key !== null)?.keyId ?? reported ?? claimed.keyId,
    claim,
    holders: [...holders].sort((a, b) => (b.report?.reportedAtMs ?? 0) - (a.report?.reportedAtMs ?? 0)),
  };
}

/**
 * Those whose evidence counts, and whether the volume is one that moves from holder to holder: a
 * removable drive by every report of those who had the key, or one that nobody had.
 */
function holdersOf({ holders }: RotationFacts): { holders: RotationHolder[]; moves: boolean } {
  const then = holders.filter(hadIt);
  if (then.length === 0) return { holders: [...holders], moves: true };
  if (!then.every(({ report }) => report?.volumeType === 'REMOVABLE')) return { holders: then, moves: false };
  const secrets = new Set(then.map((one) => one.secretId));
  return { holders: holders.filter((one) => secrets.has(one.secretId)), moves: true };
}

/** It had proved this password at the exposure; another one under the key ID does not count for it. */
const hadIt = ({ baseline, proven }: RotationHolder): boolean =>
  baseline !== null && comparePlaces(proven, baseline) <= 0;

/** Whether a holder said it after the exposure. */
function isAfter(holder: RotationHolder, place: Place): boolean {
  return holder.baseline === null
    ? comparePlaces(place, holder.proven) >= 0
    : comparePlaces(place, holder.baseline) > 0;
}

/** No client had proven it when the key was exposed. */
function isNew(key: RotationVolumeKey, provers: readonly RotationHolder[]): boolean {
  return !key.proofs.some((proof) =>
    provers.some(
      ({ clientId, baseline }) =>
        clientId === proof.clientId && baseline !== null && comparePlaces(proof, baseline) <= 0,
    ),
  );
}

/** E1 for the holders of one password. */
function firstCommitted(
  group: readonly RotationHolder[],
  fresh: readonly RotationVolumeKey[],
): RotationVolumeKey | null {
  const found = fresh.filter(
    (key) =>
      key.readable &&
      key.proofs.some((proof) =>
        group.some((holder) => holder.clientId === proof.clientId && isAfter(holder, proof)),
      ),
  );
  return found.sort((a, b) => a.firstStoredAtMs - b.firstStoredAtMs)[0] ?? null;
}

/** E2 of one holder: it reports the volume without the key, after the exposure. */
function isGone({ baseline, proven, report }: RotationHolder, { request }: RotationFacts): boolean {
  if (report === null || report.keyIds.includes(request.keyId)) return false;
  return comparePlaces(report, baseline ?? proven) > 0;
}

/** The holder's last word is that it has the key. */
const isHeld = ({ report }: RotationHolder, { request }: RotationFacts): boolean =>
  report?.keyIds.includes(request.keyId) === true;

/** It said so after the successor was stored; a report from before that is of a drive that moved on. */
function isHeldSince({ report }: RotationHolder, committed: readonly (RotationVolumeKey | null)[]): boolean {
  const stored = committed.map((key) => key?.firstStoredAtMs ?? Infinity);
  return report !== null && report.reportedAtMs > Math.max(...stored);
}

/** At least one holder has another OS volume in a new epoch, and no other lists the key. */
function isReplaced(holders: readonly RotationHolder[], facts: RotationFacts): boolean {
  return (
    holders.some((one) => one.newerOsVolume) &&
    holders.every((one) => one.newerOsVolume || !isHeld(one, facts))
  );
}

/** A key ID that a holder reports since the exposure and that the site cannot read. */
function reportedUncommitted(holders: readonly RotationHolder[], facts: RotationFacts): Guid | null {
  for (const holder of holders) {
    if (holder.report === null || !isAfter(holder, holder.report)) continue;
    const unread = holder.report.keyIds.find((id) => id !== facts.request.keyId && !isReadable(id, facts));
    if (unread !== undefined) return unread;
  }
  return null;
}

const isReadable = (keyId: Guid, { keys }: RotationFacts): boolean =>
  keys.some((key) => key.keyId === keyId && key.readable);

/** What a claim says of a new key: a client may have changed its protectors and lost the message. */
function claimedUncommitted(
  claim: RotationClaim | null,
  facts: RotationFacts,
): { keyId: Guid | null; uncommitted: boolean } {
  if (claim === null) return { keyId: null, uncommitted: false };
  const { newKeyId, outcome } = claim;
  switch (outcome) {
    case 'ADDED':
    case 'REMOVED':
      return { keyId: newKeyId, uncommitted: newKeyId === null || !isReadable(newKeyId, facts) };
    case 'FAILED':
    case 'VOLUME_ABSENT':
      return { keyId: null, uncommitted: false };
    default:
      return assertNever(outcome);
  }
}
