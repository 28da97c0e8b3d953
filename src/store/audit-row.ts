/**
 * A row of the audit and the exact bytes that its hash covers (design §7).
 *
 * Format 1: SHA-256 over, one after the other,
 *
 *     bytes   what
 *        10   "mpe-audit" and a zero byte, ASCII
 *         1   format, 1
 *         8   sequence, unsigned, big-endian
 *         8   time in milliseconds since 1970-01-01T00:00:00Z, signed, big-endian
 *        16   request id, a GUID in network order
 *        32   hash of the row before; zeros for row 1
 *     11 times   length in bytes (4, unsigned, big-endian), then the UTF-8 bytes, of: source, result,
 *             actor, helpdesk user, end user, machine, key type, key ID, reason, ticket, detail
 *
 * Texts are hashed as they are stored: no Unicode normalization, no folding of case, no trimming.
 * What has no exact form in every database (lone surrogates, control characters) is replaced by
 * U+FFFD before a row is made, by {@link auditText}. A later format gets another number here; rows keep
 * theirs for ever, and `mpe audit verify` tries the formats that it knows.
 */
import { createHash } from 'node:crypto';
import { guidToBytes, type Guid } from '../protocol/guid.js';

/** The format of the hashed bytes that new rows have. */
export const AUDIT_FORMAT = 1;

/** Through what a request came. */
export const AUDIT_SOURCES = [
  'Helpdesk',
  'Self-Service Portal',
  'Recovery API',
  'AdminService',
  'MBAM',
  'Command line',
] as const;
export type AuditSource = (typeof AUDIT_SOURCES)[number];

/** What was asked for: the published types, the package, and none for what concerns no key. */
export const AUDIT_KEY_TYPES = [
  'Recovery Key Password',
  'Recovery Key ID',
  'Recovery Key Package',
  'TPM Password Hash',
  '',
] as const;
export type AuditKeyType = (typeof AUDIT_KEY_TYPES)[number];

/** What a row says. Texts by {@link auditText}. */
export interface AuditEntry {
  /** Made by whoever asks; one row a request. */
  readonly requestId: Guid;
  readonly atMs: number;
  readonly source: AuditSource;
  readonly result: 'Successful' | 'Failed';
  /** The person who acted, as limits know them: `personKey`; '' for what no person did. */
  readonly actor: string;
  readonly helpdeskUser: string;
  readonly endUser: string;
  /** Machines, as `DOMAIN\NAME`, with commas. */
  readonly machine: string;
  readonly keyType: AuditKeyType;
  /** A GUID, or what was asked for; '' where there is none. */
  readonly keyId: string;
  readonly reason: string;
  readonly ticket: string;
  readonly detail: string;
}

/** A row as it is stored. */
export interface AuditRow extends AuditEntry {
  readonly sequence: bigint;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

/** The end of the chain. */
export interface AuditHead {
  readonly sequence: bigint;
  readonly hash: Uint8Array;
}

/** Most UTF-16 units of a text of the audit; a longer one is cut, which its last character says. */
export const AUDIT_TEXT_MAX = 1000;

/** A text as the audit takes it: the same in every database, on one line, not endless. */
export function auditText(text: string): string {
  // Through UTF-8 and back: a lone surrogate becomes U+FFFD.
  const exact = Buffer.from(text, 'utf8').toString('utf8');
  const printable = exact.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');
  if (printable.length <= AUDIT_TEXT_MAX) return printable;
  const cut = printable.slice(0, AUDIT_TEXT_MAX - 1);
  return `${Buffer.from(cut, 'utf8')
    .toString('utf8')
    .replace(/\ufffd$/, '')}…`;
}

/** A person's name as limits and the rule of two people compare it. */
export function personKey(name: string): string {
  return auditText(name.normalize('NFC').trim().toLowerCase()).slice(0, 256);
}

/** The hash of a row, see the top of this file. */
export function auditHash(entry: AuditEntry, sequence: bigint, previousHash: Uint8Array): Buffer {
  const numbers = Buffer.alloc(17);
  numbers.writeUInt8(AUDIT_FORMAT, 0);
  numbers.writeBigUInt64BE(sequence, 1);
  numbers.writeBigInt64BE(BigInt(entry.atMs), 9);
  const hash = createHash('sha256')
    .update('mpe-audit\0', 'latin1')
    .update(numbers)
    .update(guidToBytes(entry.requestId))
    .update(previousHash);
  for (const text of textsOf(entry)) {
    const bytes = Buffer.from(text, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest();
}

/** The texts of a row in the order of the format. */
function textsOf(entry: AuditEntry): readonly string[] {
  return [
    ...[entry.source, entry.result, entry.actor, entry.helpdeskUser, entry.endUser, entry.machine],
    ...[entry.keyType, entry.keyId, entry.reason, entry.ticket, entry.detail],
  ];
}
