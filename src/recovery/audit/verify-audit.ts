/**
 * Looks for rows of the audit that were changed, taken out, put in another order or cut off.
 *
 *  * The chain itself finds what was changed or taken out in the middle.
 *  * The head finds rows that were cut off at the end, unless it was moved back as well.
 *  * Checkpoints and the log, which are kept elsewhere, find that too, and a chain that was computed anew.
 */
import { auditHash, type AuditRow, type DisclosureStore } from '../../store/disclosure-store.js';
import { auditTime, isAuditTime } from './audit-text.js';
import type { Checkpoint, CheckpointLine } from './checkpoint.js';

/** What is wrong. A sequence names a row. */
export type AuditFault =
  /** What it says is not what its hash was made of. */
  | { readonly kind: 'changed'; readonly sequence: bigint; readonly row: string }
  /** It does not follow the row before: one of both was replaced or moved. */
  | { readonly kind: 'unchained'; readonly sequence: bigint; readonly row: string }
  /** Rows of these sequences are gone. */
  | { readonly kind: 'missing'; readonly from: bigint; readonly to: bigint }
  /** Rows at the end are gone. */
  | { readonly kind: 'cut'; readonly from: bigint; readonly to: bigint; readonly knownBy: string }
  /** It is another row than the one that a checkpoint or the log attests. */
  | { readonly kind: 'replaced'; readonly sequence: bigint; readonly row: string; readonly knownBy: string }
  /** The head of the chain does not name its last row. */
  | { readonly kind: 'head'; readonly detail: string }
  /** A checkpoint is no good. */
  | { readonly kind: 'checkpoint'; readonly detail: string };

/** A (sequence, hash) that was written down outside the database. */
export interface Attested {
  readonly sequence: bigint;
  /** Hex. */
  readonly hash: string;
  /** `checkpoint of 2026-…`, `log`. */
  readonly by: string;
}

/** What a verification came to. */
export interface AuditReport {
  readonly rows: number;
  readonly last: { readonly sequence: bigint; readonly hash: string } | null;
  /** Attested rows that were compared. */
  readonly attested: number;
  /** The last of them that is as it was written; rows after it stand in the chain alone. null: none. */
  readonly attestedTo: { readonly sequence: bigint; readonly by: string } | null;
  readonly faults: readonly AuditFault[];
  /** There are more than are listed. */
  readonly more: boolean;
}

/** Faults listed at most; a chain that is wrong from its start has one a row. */
const MOST_FAULTS = 100;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PAGE = 1000;

/** Verifies the chain from its first row to its head. Never changes anything. */
export async function verifyAudit(
  store: Pick<DisclosureStore, 'auditAfter' | 'auditHead'>,
  attested: readonly Attested[] = [],
  checkpoints: readonly CheckpointLine[] = [],
): Promise<AuditReport> {
  // Before the rows: whoever writes meanwhile moves the head beyond what is read.
  const head = await store.auditHead();
  const claims = new Map<bigint, Attested[]>();
  for (const claim of [...attested, ...checkpoints.flatMap(attestedBy)])
    claims.set(claim.sequence, [...(claims.get(claim.sequence) ?? []), claim]);
  const faults: AuditFault[] = checkpoints.flatMap((line) =>
    line.kind === 'bad' ? [{ kind: 'checkpoint', detail: `line ${line.line}: ${line.detail}` }] : [],
  );
  let rows = 0;
  let compared = 0;
  let attestedTo: AuditReport['attestedTo'] = null;
  let last: AuditRow | null = null;
  let headSeen = head.sequence === 0n;
  for (let place = 0n; ;) {
    const page: readonly AuditRow[] = await store.auditAfter(place, PAGE);
    for (const row of page) {
      rows += 1;
      faults.push(...faultsOf(row, last));
      for (const claim of claims.get(row.sequence) ?? []) {
        compared += 1;
        if (claim.hash !== hexOf(row.hash))
          faults.push({ kind: 'replaced', sequence: row.sequence, row: rowText(row), knownBy: claim.by });
        else attestedTo = { sequence: row.sequence, by: claim.by };
      }
      if (row.sequence === head.sequence) {
        headSeen = true;
        if (hexOf(row.hash) !== hexOf(head.hash))
          faults.push({ kind: 'head', detail: `the head has another hash than row ${row.sequence}` });
      }
      last = row;
      place = row.sequence;
    }
    if (page.length < PAGE) break;
    await new Promise((resume) => setImmediate(resume));
  }
  const end = last?.sequence ?? 0n;
  if (!headSeen && end < head.sequence)
    faults.push({ kind: 'cut', from: end + 1n, to: head.sequence, knownBy: 'the head of the chain' });
  const after = await store.auditHead();
  if (end > after.sequence)
    faults.push({
      kind: 'head',
      detail: `rows ${after.sequence + 1n} to ${end} lie beyond the head of the chain`,
    });
  const beyond = [...claims.values()]
    .flat()
    .filter(({ sequence }) => sequence > end && sequence > head.sequence);
  const furthest = beyond.sort((a, b) => (a.sequence < b.sequence ? 1 : -1))[0];
  if (furthest !== undefined)
    faults.push({ kind: 'cut', from: end + 1n, to: furthest.sequence, knownBy: furthest.by });
  return {
    rows,
    last: last === null ? null : { sequence: last.sequence, hash: hexOf(last.hash) },
    attested: compared,
    attestedTo,
    faults: faults.slice(0, MOST_FAULTS),
    more: faults.length > MOST_FAULTS,
  };
}

/** What is wrong with a row by itself and behind the one before. */
export function faultsOf(row: AuditRow, previous: AuditRow | null): AuditFault[] {
  const faults: AuditFault[] = [];
  const expected = (previous?.sequence ?? 0n) + 1n;
  if (row.sequence !== expected) faults.push({ kind: 'missing', from: expected, to: row.sequence - 1n });
  const before = previous?.hash ?? Buffer.alloc(32);
  if (row.sequence === expected && Buffer.compare(row.previousHash, before) !== 0)
    faults.push({ kind: 'unchained', sequence: row.sequence, row: rowText(row) });
  if (!isAsHashed(row)) faults.push({ kind: 'changed', sequence: row.sequence, row: rowText(row) });
  return faults;
}

/** Whether a row says what its hash was made of. No release writes a time or an id in another form. */
function isAsHashed(row: AuditRow): boolean {
  if (!isAuditTime(row.atMs) || !GUID.test(row.requestId)) return false;
  return Buffer.compare(auditHash(row, row.sequence, row.previousHash), row.hash) === 0;
}

/** A fault in a sentence. */
export function faultText(fault: AuditFault): string {
  switch (fault.kind) {
    case 'changed':
      return `row ${fault.sequence} was changed: its hash is not that of what it says (${fault.row})`;
    case 'unchained':
      return `row ${fault.sequence} does not follow the row before it: one of both was replaced or moved (${fault.row})`;
    case 'missing':
      return `${rangeText(fault.from, fault.to)} missing between others`;
    case 'cut':
      return `${rangeText(fault.from, fault.to)} missing at the end; known by ${fault.knownBy}`;
    case 'replaced':
      return `row ${fault.sequence} is not the one that was written: known by ${fault.knownBy} (${fault.row})`;
    case 'head':
      return `the head of the chain is wrong: ${fault.detail}`;
    case 'checkpoint':
      return `checkpoint: ${fault.detail}`;
  }
}

function attestedBy(line: CheckpointLine): Attested[] {
  if (line.kind === 'bad') return [];
  const { sequence, hash, atMs }: Checkpoint = line.checkpoint;
  return sequence === 0n ? [] : [{ sequence, hash, by: `the checkpoint of ${new Date(atMs).toISOString()}` }];
}

const rangeText = (from: bigint, to: bigint): string =>
  from === to ? `row ${from} is` : `rows ${from} to ${to} are`;

/** What a row says of itself, in short. */
function rowText(row: AuditRow): string {
  const what = [row.keyType, row.keyId].filter((text) => text !== '').join(' ');
  return `${auditTime(row.atMs)}, ${row.source}, ${row.result}, ${row.helpdeskUser}${what === '' ? '' : `, ${what}`}`;
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
