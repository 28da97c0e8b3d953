import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { RegistrationChannel } from '../rows.js';
import type { SqlRow } from './session.js';

/**
 * Typed reads of a row's columns. A column that is absent or of another type is a mistake of ours
 * and ends in INTERNAL, never in `undefined` that travels on.
 */
function wrong(column: string, expected: string): never {
  throw new MpeError('INTERNAL', `column ${column} is not ${expected}`);
}

/** A text column. */
export function text(row: SqlRow, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : wrong(column, 'text');
}

/** A text column, or null. */
export function textOrNull(row: SqlRow, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A `uniqueidentifier` column; the driver writes it in upper case. */
export function guid(row: SqlRow, column: string): Guid {
  const value = text(row, column).toLowerCase();
  return GUID.test(value) ? (value as Guid) : wrong(column, 'a GUID');
}

/** A `uniqueidentifier` column, or null. */
export function guidOrNull(row: SqlRow, column: string): Guid | null {
  return row[column] === null ? null : guid(row, column);
}

/** A text column that holds one of `words`. */
export function word<W extends string>(row: SqlRow, column: string, words: readonly W[]): W {
  const value = text(row, column);
  return words.find((known) => known === value) ?? wrong(column, `one of ${words.join(', ')}`);
}

/** A numbered word: the column holds its place in `words`. */
export function numbered<W extends string>(row: SqlRow, column: string, words: readonly W[]): W {
  return words[integer(row, column)] ?? wrong(column, `a number of ${words.join(', ')}`);
}

/** A 64-bit integer, exact: the driver gives `bigint` columns as decimal text, `int` as a number. */
export function bigInteger(row: SqlRow, column: string): bigint {
  const value = row[column];
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string' && /^-?\d{1,19}$/.test(value)) return BigInt(value);
  return typeof value === 'number' && Number.isSafeInteger(value)
    ? BigInt(value)
    : wrong(column, 'an integer');
}

/** An integer that fits a double: counts, epochs. */
export function integer(row: SqlRow, column: string): number {
  const value = Number(bigInteger(row, column));
  return Number.isSafeInteger(value) ? value : wrong(column, 'a safe integer');
}

/** An integer, or null. */
export function integerOrNull(row: SqlRow, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

/** A time column in UTC as milliseconds since 1970. */
export function time(row: SqlRow, column: string): number {
  const value = row[column];
  const ms = value instanceof Date ? value.getTime() : Number.NaN;
  return Number.isSafeInteger(ms) ? ms : wrong(column, 'a time');
}

/** A time, or null. */
export function timeOrNull(row: SqlRow, column: string): number | null {
  return row[column] === null ? null : time(row, column);
}

/** A `bit` column, or a 0/1 expression. */
export function flag(row: SqlRow, column: string): boolean {
  const value = row[column];
  return typeof value === 'boolean' ? value : bigInteger(row, column) !== 0n;
}

/** A binary column. */
export function bytes(row: SqlRow, column: string): Buffer {
  const value = row[column];
  return Buffer.isBuffer(value) ? value : wrong(column, 'binary');
}

/** A binary column, or null. */
export function bytesOrNull(row: SqlRow, column: string): Buffer | null {
  return row[column] === null ? null : bytes(row, column);
}

/** A JSON column. The shape is the writer's: the same release or an older one of this store. */
export function json<T>(row: SqlRow, column: string): T {
  return JSON.parse(text(row, column)) as T;
}

/** The certificate or device of a signing key, or null. */
export function channelOf(row: SqlRow): RegistrationChannel | null {
  if (row['ChannelKind'] === null) return null;
  return {
    kind: word(row, 'ChannelKind', ['client-certificate', 'entra'] as const),
    subject: text(row, 'ChannelSubject'),
  };
}
