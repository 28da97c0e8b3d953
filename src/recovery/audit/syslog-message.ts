import type { AuditRow } from '../../store/disclosure-store.js';
import { isAuditTime } from './audit-text.js';
import { auditJson } from './export-audit.js';

/** Facility 13 (log audit); severity 6 for what went well, 4 for what was refused. */
const FACILITY = 13;
/** Of the SD-ID: the number that RFC 5612 keeps for documents, as mpe has none of its own. */
const ENTERPRISE = 32473;

/** A value of structured data: `"`, `\` and `]` escaped, as RFC 5424 §6.3.3 wants it. */
const quoted = (text: string): string => text.replaceAll(/["\\\]]/g, String.raw`\$&`);

/** A header field: printable ASCII without blanks, of this length at most. */
const field = (text: string, most: number): string => {
  const plain = text.replaceAll(/[^\x21-\x7e]/g, '-').slice(0, most);
  return plain === '' ? '-' : plain;
};

/** A row as a syslog message of RFC 5424; the facts stand in its structured data. */
export function syslogMessage(row: AuditRow, host: string): string {
  const severity = row.result === 'Successful' ? 6 : 4;
  const facts = Object.entries(auditJson(row))
    .filter(([name, value]) => name !== 'time' && value !== '')
    .map(([name, value]) => ` ${name}="${quoted(value)}"`)
    .join('');
  const header = [
    `<${FACILITY * 8 + severity}>1`,
    // RFC 5424's own word for no time, where a row was changed by hand.
    isAuditTime(row.atMs) ? new Date(row.atMs).toISOString() : '-',
    ...[field(host, 255), 'mpe', String(process.pid), 'audit'],
    `[mpeAudit@${ENTERPRISE}${facts}]`,
  ].join(' ');
  const what = row.keyType === '' ? row.reason : row.keyType;
  // The byte order mark says that the text is UTF-8.
  return `${header} \ufeff${row.source}: ${what}, ${row.result}`;
}

/** Messages as RFC 5425 puts them on a connection: each behind its length in bytes. */
export function framed(message: string): Buffer {
  const bytes = Buffer.from(message, 'utf8');
  return Buffer.concat([Buffer.from(`${bytes.length} `, 'latin1'), bytes]);
}
