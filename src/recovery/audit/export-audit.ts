import type { AuditFilter, AuditRow, DisclosureStore } from '../../store/disclosure-store.js';
import { auditTime, spreadsheetText } from './audit-text.js';

/** How rows are written. */
export type ExportFormat = 'csv' | 'json';

/** The published columns of the Recovery Audit Report, then ours. */
const COLUMNS: readonly (readonly [string, (row: AuditRow) => string])[] = [
  ['Request Date and Time', (row) => auditTime(row.atMs)],
  ['Audit Request Source', (row) => row.source],
  ['Request Result', (row) => row.result],
  ['Helpdesk User', (row) => row.helpdeskUser],
  ['End User', (row) => row.endUser],
  ['Computer', (row) => row.machine],
  ['Key Type', (row) => row.keyType],
  ['Reason Description', (row) => row.reason],
  ['Key ID', (row) => row.keyId],
  ['Ticket', (row) => row.ticket],
  ['Detail', (row) => row.detail],
  ['Sequence', (row) => row.sequence.toString()],
  ['Hash', (row) => Buffer.from(row.hash).toString('hex')],
];

const PAGE = 500;

/** A cell; no spreadsheet runs what a person typed. */
function cell(text: string): string {
  const safe = spreadsheetText(text);
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A row as JSON: for export and for sinks. */
export function auditJson(row: AuditRow): Readonly<Record<string, string>> {
  return {
    sequence: row.sequence.toString(),
    time: auditTime(row.atMs),
    source: row.source,
    result: row.result,
    helpdeskUser: row.helpdeskUser,
    endUser: row.endUser,
    machine: row.machine,
    keyType: row.keyType,
    keyId: row.keyId,
    reason: row.reason,
    ticket: row.ticket,
    detail: row.detail,
    requestId: row.requestId,
    previousHash: Buffer.from(row.previousHash).toString('hex'),
    hash: Buffer.from(row.hash).toString('hex'),
  };
}

/** One row as a line of CSV, with its line end. */
export function auditCsvLine(row: AuditRow): string {
  return `${COLUMNS.map(([, of]) => cell(of(row))).join(',')}\r\n`;
}

/** The heading of the CSV, with its line end. */
export const AUDIT_CSV_HEADING = `${COLUMNS.map(([name]) => cell(name)).join(',')}\r\n`;

/** Rows of a filter as text, the newest first, piece by piece: never all of them in memory. */
export async function* exportAudit(
  store: Pick<DisclosureStore, 'searchAudit'>,
  filter: AuditFilter,
  format: ExportFormat,
): AsyncGenerator<string> {
  yield format === 'csv' ? AUDIT_CSV_HEADING : '[';
  let first = true;
  for (let before = filter.before; ;) {
    const page = await store.searchAudit({ ...filter, ...(before === undefined ? {} : { before }) }, PAGE);
    for (const row of page) {
      yield format === 'csv' ? auditCsvLine(row) : `${first ? '' : ','}\n${JSON.stringify(auditJson(row))}`;
      first = false;
    }
    before = page.at(-1)?.sequence;
    if (page.length < PAGE || before === undefined) break;
  }
  if (format === 'json') yield '\n]\n';
}
