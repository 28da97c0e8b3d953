import type { ItemResult, KeyResult, VolumeResult } from '../protocol/client-message.js';
import type { Reason } from '../protocol/vocabulary.js';
import { assertNever } from '../ops/errors.js';
import type { Judged, KeyDraft, KeyVerdict, PackageVerdict } from './types.js';

/** The part of what the database knows that decides over items. */
export interface ItemFacts {
  /** Hex secret ids with a healthy generation. */
  readonly healthy: ReadonlySet<string>;
  /** `${volumeId}/${keyId}` that this client has proven and the site can read. */
  readonly readable: ReadonlySet<string>;
}

/** The items of a reply and what they make of the whole message. */
export interface Settled {
  readonly volumes: readonly VolumeResult[];
  readonly tpmOwnerAuth: ItemResult | null;
  readonly disposition: 'COMMITTED' | 'PARTIAL' | 'REJECTED';
  readonly reason: Extract<Reason, 'NONE' | 'ITEMS_REJECTED' | 'ALL_ITEMS_REJECTED'>;
}

const COMMITTED: ItemResult = { status: 'COMMITTED', reason: 'NONE' };

function keyItem(verdict: KeyVerdict, facts: ItemFacts): ItemResult & { badGroup: number } {
  switch (verdict.kind) {
    case 'secret':
      return { ...COMMITTED, badGroup: 0 };
    case 'named':
      if (facts.readable.has(verdict.ref)) return { ...COMMITTED, badGroup: 0 };
      return verdict.gate === 'NONE'
        ? { status: 'SECRET_REQUIRED', reason: 'NONE', badGroup: 0 }
        : { status: 'REJECTED', reason: verdict.gate, badGroup: 0 };
    case 'refused':
      return { status: 'REJECTED', reason: verdict.reason, badGroup: verdict.badGroup };
    default:
      return assertNever(verdict);
  }
}

function packageItem(verdict: PackageVerdict): ItemResult {
  return verdict.kind === 'secret' ? COMMITTED : { status: 'REJECTED', reason: verdict.reason };
}

/**
 * Turns drafts into the results of a reply.
 *
 * An item is a protector, a key package, an owner authorization, a refused volume, a volume that
 * lists no protector, or the state of a check-in. No refused item: COMMITTED. Some: PARTIAL. All:
 * REJECTED, and then nothing of the message takes effect, so no volume says COMMITTED either.
 * A protector named without its secret (SECRET_REQUIRED, or refused by a gate that nobody asked to
 * pass) is an answer, not a refused item.
 */
export function settle(judged: Judged, facts: ItemFacts): Settled {
  let accepted = judged.state === null ? 0 : 1;
  let rejected = 0;
  const count = (item: ItemResult): void => {
    if (item.status === 'REJECTED') rejected += 1;
    else accepted += 1;
  };
  const keyResult = (draft: KeyDraft): KeyResult => {
    const item = keyItem(draft.verdict, facts);
    if (draft.verdict.kind === 'named') accepted += 1;
    else count(item);
    if (draft.keyPackage === null) return { keyId: draft.keyId, ...item };
    const keyPackage = packageItem(draft.keyPackage);
    count(keyPackage);
    return { keyId: draft.keyId, ...item, keyPackage };
  };
  const volumes = judged.drafts.map((draft): VolumeResult => {
    const keys = draft.keys.map(keyResult);
    if (draft.refusal !== 'NONE') rejected += 1;
    else if (keys.length === 0) accepted += 1;
    const item: ItemResult =
      draft.refusal === 'NONE' ? COMMITTED : { status: 'REJECTED', reason: draft.refusal };
    return { volumeId: draft.volumeId, ...item, keys };
  });
  const tpmOwnerAuth = judged.tpmOwnerAuth === null ? null : packageItem(judged.tpmOwnerAuth);
  if (tpmOwnerAuth !== null) count(tpmOwnerAuth);

  if (rejected === 0) return { volumes, tpmOwnerAuth, disposition: 'COMMITTED', reason: 'NONE' };
  if (accepted > 0) return { volumes, tpmOwnerAuth, disposition: 'PARTIAL', reason: 'ITEMS_REJECTED' };
  return {
    volumes: volumes.map((volume) =>
      volume.status === 'COMMITTED'
        ? { ...volume, status: 'REJECTED', reason: volume.keys[0]?.reason ?? 'NONE' }
        : volume,
    ),
    tpmOwnerAuth,
    disposition: 'REJECTED',
    reason: 'ALL_ITEMS_REJECTED',
  };
}

/**
 * The results of a message that was committed before, as they stand now: what has become
 * unreadable since is asked for again, so that no client lets go of the only copy.
 *
 * @param stored results of the reply that was sealed when the message was committed
 * @param judged the same message, judged again: same order of volumes and keys
 */
export function refreshResults(
  stored: readonly VolumeResult[],
  judged: Judged,
  facts: ItemFacts,
): VolumeResult[] {
  return stored.map((volume, v) => ({
    ...volume,
    keys: volume.keys.map((key, k): KeyResult => {
      const verdict = judged.drafts[v]?.keys[k]?.verdict;
      if (verdict?.kind === 'named' && key.status === 'SECRET_REQUIRED' && facts.readable.has(verdict.ref))
        return { ...key, ...COMMITTED };
      if (key.status !== 'COMMITTED' || verdict === undefined) return key;
      const lost =
        (verdict.kind === 'secret' && !facts.healthy.has(verdict.secretId)) ||
        (verdict.kind === 'named' && !facts.readable.has(verdict.ref));
      return lost ? { ...key, status: 'SECRET_REQUIRED', reason: 'NONE' } : key;
    }),
  }));
}
