import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { RegistrationChannel } from '../rows.js';
import type { SqlRow } from './connection.js';

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

/** A GUID column: canonical by the rules of writing, so not parsed again. */
export function guid(row: SqlRow, column: string): Guid {
  return text(row, column) as Guid;
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

/** A 64-bit integer, exact. */
export function bigInteger(row: SqlRow, column: string): bigint {
  const value = row[column];
  return typeof value === 'bigint' ? value : wrong(column, 'an integer');
}

/** An integer that fits a double: times, counts, epochs. */
export function integer(row: SqlRow, column: string): number {
  const value = Number(bigInteger(row, column));
  return Number.isSafeInteger(value) ? value : wrong(column, 'a safe integer');
}

/** An integer, or null. */
export function integerOrNull(row: SqlRow, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

/** A 0/1 column. */
export function flag(row: SqlRow, column: string): boolean {
  return bigInteger(row, column) !== 0n;
}

/** A blob column. */
export function bytes(row: SqlRow, column: string): Buffer {
  const value = row[column];
  return Buffer.isBuffer(value) ? value : wrong(column, 'a blob');
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
