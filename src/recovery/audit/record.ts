import { isMpeError, MpeError } from '../../ops/errors.js';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import { redactText } from '../../ops/redact.js';
import type { Guid } from '../../protocol/guid.js';
import {
  auditHash,
  auditText,
  personKey,
  type AuditEntry,
  type AuditRow,
  type AuditWrite,
  type AuditWritten,
  type DisclosureStore,
} from '../../store/disclosure-store.js';

/** How long writing a row may take, whatever holds the head of the chain. */
export const WRITE_WITHIN_MS = 1_200;
/** How long the look for a row may take whose COMMIT was not answered. */
export const LOOK_WITHIN_MS = 500;

/** What writing to the audit needs. */
export interface AuditContext {
  readonly store: { readonly disclosure: DisclosureStore };
  readonly clock: Clock;
  readonly log: Logger;
  /** Absent: {@link WRITE_WITHIN_MS}. */
  readonly writeWithinMs?: number;
  /** Called after each row, so that the sinks need not wait for their turn. Never throws. */
  readonly onRow?: () => void;
}

/** What a row says beside its time and result. */
export type AuditFacts = Omit<AuditEntry, 'atMs' | 'result' | 'actor' | 'requestId'> & {
  readonly requestId: Guid;
  /** The person who acted; '' for nobody. */
  readonly person: string;
};

/**
 * A row of these facts, its texts as the audit takes them. People type a whole recovery password where a
 * key ID, a reason or a ticket is asked for; many more may read the audit than may be shown a key.
 */
export function auditEntry(facts: AuditFacts, result: AuditEntry['result'], atMs: number): AuditEntry {
  return {
    ...{ requestId: facts.requestId, atMs, source: facts.source, result, actor: personKey(facts.person) },
    helpdeskUser: said(facts.helpdeskUser),
    endUser: said(facts.endUser),
    machine: said(facts.machine),
    keyType: facts.keyType,
    keyId: said(facts.keyId),
    reason: said(facts.reason),
    ticket: said(facts.ticket),
    detail: said(facts.detail),
  };
}

const said = (text: string): string => auditText(redactText(text));

/**
 * Runs a transaction that holds an audit row, and logs (sequence, hash) of the row. Where the answer of
 * COMMIT was lost, the row itself is looked for.
 *
 * @throws MpeError AUDIT_UNAVAILABLE: nothing was written, or nobody can say; so nothing may be shown
 */
export async function recordBy<T extends AuditWritten | null>(
  context: AuditContext,
  requestId: Guid,
  write: () => Promise<T>,
  isOurs: (row: AuditRow) => boolean = () => true,
): Promise<T | Extract<AuditWritten, { kind: 'written' }>> {
  let written: T | Extract<AuditWritten, { kind: 'written' }>;
  try {
    written = await write();
  } catch (error) {
    if (!isMpeError(error)) throw error;
    const found = await lookFor(context, requestId, isOurs);
    if (found === null) throw unavailable(error);
    written = found;
  }
  if (written?.kind === 'written') logRow(context, written);
  return written;
}

/** Writes a row and what goes with it. @throws MpeError AUDIT_UNAVAILABLE as {@link recordBy} */
export function record(context: AuditContext, write: Omit<AuditWrite, 'withinMs'>): Promise<AuditWritten> {
  const withinMs = context.writeWithinMs ?? WRITE_WITHIN_MS;
  const { entry } = write;
  return recordBy(
    context,
    entry.requestId,
    () => context.store.disclosure.writeAudit({ ...write, withinMs }),
    // A row of an earlier request with the same id is no row of this one: nothing may be shown for it.
    (row) => Buffer.compare(auditHash(entry, row.sequence, row.previousHash), row.hash) === 0,
  );
}

/** Writes a row alone: what happened, or was tried, without a key being shown. */
export async function recordEvent(
  context: AuditContext,
  facts: AuditFacts,
  result: AuditEntry['result'],
): Promise<bigint> {
  const entry = auditEntry(facts, result, context.clock.now());
  const written = await record(context, { entry, exposures: [], limit: null });
  if (written.kind === 'written') return written.sequence;
  throw new MpeError('INTERNAL', 'a row without a limit was refused by one');
}

/**
 * Each (sequence, hash) stands in the log as well: a row that is cut from the database is missed there.
 * Whatever MPE_LOG_LEVEL says, unless there is no log at all.
 */
function logRow({ log, onRow }: AuditContext, row: Extract<AuditWritten, { kind: 'written' }>): void {
  const always = log.level === 'silent' ? log : log.child({}, { level: 'info' });
  always.info({
    event: 'audit.row',
    sequence: row.sequence.toString(),
    hash: Buffer.from(row.hash).toString('hex'),
  });
  onRow?.();
}

async function lookFor(
  { store }: AuditContext,
  requestId: Guid,
  isOurs: (row: AuditRow) => boolean,
): Promise<Extract<AuditWritten, { kind: 'written' }> | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), LOOK_WITHIN_MS);
  });
  try {
    const row = await Promise.race([store.disclosure.findAudit(requestId).catch(() => null), late]);
    if (row === null || !isOurs(row)) return null;
    return { kind: 'written', sequence: row.sequence, hash: row.hash, rotations: [] };
  } finally {
    clearTimeout(timer);
  }
}

function unavailable(cause: MpeError): MpeError {
  return new MpeError(
    'AUDIT_UNAVAILABLE',
    'the audit cannot be written now, and without its row nothing is shown or done. Nothing is lost: try again in a ' +
      'minute; if it stays, look at the site database (mpe doctor)',
    { cause },
  );
}
