import { MpeError } from '../../ops/errors.js';
import type { CommitPlan } from '../site-store.js';

const HASH_BYTES = 32;
const MAX_SEQUENCE = 2n ** 63n - 1n;
/** Bytes of secrets in one transaction: parameters stay small beside what a server gives a query. */
const GROUP_BYTES = 8 * 1024 * 1024;

/**
 * What keeps a plan from being sent: values that a conversion inside the server could cut in
 * silence, or that would fail the statement of a whole group. Null where nothing does. The
 * constraints of the schema stand behind it.
 */
export function refusalOf({ candidate, outcome, secrets }: CommitPlan): MpeError | null {
  const identities = [...candidate.secrets, ...secrets.map(({ identity }) => identity)];
  const hashes = [
    ...[candidate.rank.digest, ...(outcome === null ? [] : [outcome.digest])],
    ...identities.flatMap(({ secretId, fingerprint }) => [secretId, fingerprint]),
  ];
  const odd = hashes.find((hash) => hash.byteLength !== HASH_BYTES);
  if (odd !== undefined) {
    return refusal(`a digest, secret id or fingerprint has ${odd.byteLength} bytes, not ${HASH_BYTES}`);
  }
  const sequences = [candidate.rank.sequence, ...(outcome === null ? [] : [outcome.sequence])];
  if (sequences.some((sequence) => sequence < 0n || sequence > MAX_SEQUENCE)) {
    return refusal('a sequence is not between 0 and 2^63-1');
  }
  return null;
}

const refusal = (text: string): MpeError => new MpeError('STORE_FAILED', `writing a message: ${text}`);

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
