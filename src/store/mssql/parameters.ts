import sql, { type ISqlType } from 'mssql';
import type { Guid } from '../../protocol/guid.js';

/**
 * Typed parameters of a query. Every value travels as a parameter, never as a part of the SQL text.
 *
 * Lengths come in two sizes a type, the largest that is not `max` and `max`: a length that follows
 * the value would give every length its own query plan, and `max` against an indexed column costs
 * the optimizer its plain seek.
 */
export interface SqlParameter {
  readonly type: ISqlType | (() => ISqlType);
  readonly value: unknown;
}

/** Parameters of a batch by name, without the `@`. */
export type SqlParameters = Readonly<Record<string, SqlParameter>>;

/** What `rowsOf` takes in a column; an array is read by `… AS JSON`. */
export type JsonValue = string | number | bigint | boolean | Uint8Array | null | readonly unknown[];

const NVARCHAR_LIMIT = 4000;
const VARCHAR_LIMIT = 8000;
const VARBINARY_LIMIT = 8000;

/** A GUID. */
export function guidOf(value: Guid | null): SqlParameter {
  return { type: sql.UniqueIdentifier, value };
}

/** Free text: `nvarchar(4000)`, or `nvarchar(max)` where it is longer. */
export function textOf(value: string | null): SqlParameter {
  const long = value !== null && value.length > NVARCHAR_LIMIT;
  return { type: sql.NVarChar(long ? sql.MAX : NVARCHAR_LIMIT), value };
}

/** ASCII text (words, sealed tokens, thumbprints): `varchar(8000)`, or `varchar(max)` where longer. */
export function wordOf(value: string | null): SqlParameter {
  const long = value !== null && value.length > VARCHAR_LIMIT;
  return { type: sql.VarChar(long ? sql.MAX : VARCHAR_LIMIT), value };
}

/** A 32-bit integer: epochs, counts, positions. */
export function intOf(value: number | null): SqlParameter {
  return { type: sql.Int, value };
}

/** A 64-bit integer, exact. */
export function bigintOf(value: bigint | null): SqlParameter {
  return { type: sql.BigInt, value };
}

/**
 * The driver writes UTC but checks the year of the local zone: where that is another, it refuses the
 * first and the last hours of the calendar.
 */
class UtcDate extends Date {
  override getFullYear(): number {
    return this.getUTCFullYear();
  }
}

/** A time in milliseconds since 1970 as `datetime2(3)` in UTC. */
export function timeOf(ms: number | null): SqlParameter {
  return { type: sql.DateTime2(3), value: ms === null ? null : new UtcDate(ms) };
}

/** Bytes: `varbinary(8000)`, or `varbinary(max)` where longer. */
export function bytesOf(value: Uint8Array | null): SqlParameter {
  const long = value !== null && value.byteLength > VARBINARY_LIMIT;
  return {
    type: sql.VarBinary(long ? sql.MAX : VARBINARY_LIMIT),
    value: value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  };
}

/** A switch. */
export function flagOf(value: boolean | null): SqlParameter {
  return { type: sql.Bit, value };
}

/**
 * Rows for `OPENJSON(@rows) WITH (…)`, always `nvarchar(max)`. 64-bit integers travel as decimal
 * text, bytes as hex (`CONVERT(varbinary(max), x, 2)` reads it), times as `sqlTime(ms)`.
 */
export function rowsOf(rows: readonly Readonly<Record<string, JsonValue>>[]): SqlParameter {
  return { type: sql.NVarChar(sql.MAX), value: JSON.stringify(rows, plain) };
}

function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  // A Buffer has a toJSON, which has run when the replacer is asked; the holder has it as it was.
  const original = this[key];
  if (typeof original === 'bigint') return original.toString();
  if (original instanceof Uint8Array) {
    return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('hex');
  }
  return value;
}

/** A time as text that `OPENJSON … WITH (x datetime2(3))` reads: `2026-11-28T10:11:12.345`, UTC. */
export function sqlTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, -1);
}
