import { MpeError } from '../../ops/errors.js';
import type { CommitCandidate, CommitPlan } from '../site-store.js';

const HASH_BYTES = 32;
const MAX_SEQUENCE = 2n ** 63n - 1n;
/** Bytes of secrets in one transaction: parameters stay small beside what a server gives a query. */
const GROUP_BYTES = 8 * 1024 * 1024;

/**
 * What keeps a candidate from being sent: values that a conversion inside the server could cut in
 * silence, or that would fail the statement of a whole group. Null where nothing does. The
 * constraints of the schema stand behind it.
 */
export function refusalOfCandidate({ rank, secrets }: CommitCandidate): MpeError | null {
  const hashes = secrets.flatMap(({ secretId, fingerprint }) => [secretId, fingerprint]);
  return refusalOfHashes([rank.digest, ...hashes]) ?? refusalOfSequence(rank.sequence);
}

/** The same for all of a plan. */
export function refusalOf({ candidate, outcome, secrets }: CommitPlan): MpeError | null {
  const hashes = secrets.flatMap(({ identity }) => [identity.secretId, identity.fingerprint]);
  return (
    refusalOfCandidate(candidate) ??
    refusalOfHashes(hashes) ??
    (outcome === null ? null : (refusalOfHashes([outcome.digest]) ?? refusalOfSequence(outcome.sequence)))
  );
}

function refusalOfHashes(hashes: readonly Uint8Array[]): MpeError | null {
  const odd = hashes.find((hash) => hash.byteLength !== HASH_BYTES);
  if (odd === undefined) return null;
  return refusal(`a digest, secret id or fingerprint has ${odd.byteLength} bytes, not ${HASH_BYTES}`);
}

function refusalOfSequence(sequence: bigint): MpeError | null {
  if (sequence >= 0n && sequence <= MAX_SEQUENCE) return null;
  return refusal('a sequence is not between 0 and 2^63-1');
}

const refusal = (text: string): MpeError =>
  new MpeError('STORE_FAILED', `a message does not fit the database: ${text}`);

/** Cuts a group where its secrets would be too large for one transaction; mostly there is one part. */
export function splitBySize(plans: readonly CommitPlan[]): CommitPlan[][] {
  const parts: CommitPlan[][] = [];
  let bytes = 0;
  for (const plan of plans) {
    const own = plan.secrets.reduce((sum, { content }) => sum + content.bytes.byteLength, 0);
    const last = parts.at(-1);
    if (last === undefined || bytes + own > GROUP_BYTES) {
      parts.push([plan]);
      bytes = own;
    } else {
      last.push(plan);
      bytes += own;
    }
  }
  return parts;
}
